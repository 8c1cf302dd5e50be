"""Key figures by role: each from its one definition, cut, drilled down to its rows, and taken away as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel

from api import plots, words
from api.access import Caller, Me, Work
from api.console import page
from erp_core.db import Session
from erp_core.errors import NotFound
from erp_core.queries import desk, kpis, models, operations, supply
from erp_core.queries.kpis import BY_SLUG, CUTS, Kpi, Narrow

router = APIRouter(include_in_schema=False)
interface = APIRouter(prefix="/api/v1", tags=["Figures"])
Days = Annotated[int, Query(ge=1, le=3650)]
MOST_ROWS, LATEST = 200, 5000
CUT_WORDS = {"entity": "firm", "warehouse": "site", "reason": "kind"}
ROLE_OF = {
    "customer_service": "service", "credit_analyst": "credit", "credit_manager": "credit", "pricing_manager": "finance", "supply_planner": "supply",
    "warehouse_lead": "warehouse", "buyer": "supply", "accounts_payable": "finance", "supervisor": "supervisor", "admin": "operations", "auditor": "ai",
}  # fmt: skip


class Asked(BaseModel):
    """What the address says: days back, and what is looked at of it."""

    days: Annotated[int, Query(ge=1, le=400)] = 30
    role: str = ""
    by: Literal["", "entity", "warehouse", "channel", "segment", "supplier", "reason"] = ""
    entity: str = ""
    warehouse: str = ""
    channel: str = ""
    segment: str = ""
    supplier: str = ""
    reason: str = ""

    @property
    def narrow(self) -> Narrow:
        """As the core asks it."""
        return Narrow(**{cut: getattr(self, cut) for cut in CUTS})

    def address(self, path: str, **changed: Any) -> str:
        """The same look at another page, or at this one with something changed."""
        said = {**self.model_dump(), **changed}
        short = {k: v for k, v in said.items() if v and (k, v) != ("days", 30)}
        return f"{path}?{urlencode(short)}" if short else path


@dataclass(frozen=True)
class Tile:
    """A figure at a glance: its value now and in the period before, and its course."""

    kpi: Kpi
    value: Decimal | None
    before: Decimal | None
    course: plots.Plot | None

    @property
    def change(self) -> str:
        """In words, and whether for the better."""
        if self.value is None or self.before is None or self.kpi.now or self.value == self.before:
            return ""
        return f"{'up' if self.value > self.before else 'down'} from {shown(self.before, self.kpi.unit)}"

    @property
    def tone(self) -> str:
        """ok, danger, or nothing to say."""
        if not self.change or self.value is None or self.before is None or self.kpi.unit in ("count", "money"):
            return ""
        return "ok" if (self.value > self.before) == (self.kpi.better == "up") else "danger"


def shown(value: Decimal | None, unit: str) -> str:
    """A value in its unit."""
    if value is None:
        return "–"
    if unit == "share":
        return f"{value * 100:.1f} %"
    if unit == "money" and value < 0:
        return f"−{shown(-value, unit)}"
    if unit == "money":
        if abs(value) >= 1_000_000:
            return f"${value / 1_000_000:,.2f} m"
        return f"${value:,.0f}" if abs(value) >= 10_000 else words.money(value)
    if unit == "count":
        return f"{value:,.0f}"
    return f"{value:,.1f} {unit}"


def _tile(session: Session, kpi: Kpi, asked: Asked, today: date) -> Tile:
    since, narrow = today - timedelta(days=asked.days - 1), asked.narrow
    now = kpis.counted(session, kpi, since, today, narrow)
    before = (
        []
        if kpi.now
        else kpis.counted(session, kpi, since - timedelta(days=asked.days), since - timedelta(days=1), narrow)
    )
    course = kpis.trend(session, kpi, since, today, narrow, weeks=asked.days > 60)
    scaled = [(day, value * 100 if value is not None and kpi.unit == "share" else value) for day, value in course]
    unit = "%" if kpi.unit == "share" else ""
    plot = plots.lines(kpi.name, [(kpi.name, scaled)], unit) if len(scaled) > 1 else None
    return Tile(kpi, now[0][1] if now else None, before[0][1] if before else None, plot)


def _first_role(me: Caller) -> str:
    return next((ROLE_OF[r] for r in me.person.roles if r in ROLE_OF), "supervisor")


@router.get("/figures")
def figures_page(session: Work, me: Me, asked: Annotated[Asked, Query()]) -> HTMLResponse:
    """The figures that a role looks at first."""
    role = asked.role or _first_role(me)
    if role not in kpis.ROLES:
        raise NotFound(f"There are no figures for {role}; there are: {', '.join(kpis.ROLES)}.")
    today, since = me.now.date(), me.now - timedelta(days=asked.days)
    tiles = [_tile(session, BY_SLUG[slug], asked, today) for slug in kpis.ROLES[role]]
    charts = [_by_cut(session, BY_SLUG[slug], asked, today) for slug in kpis.ROLES[role] if BY_SLUG[slug].usual]
    beside: dict[str, Any] = {}
    if role in ("finance", "supply"):
        beside = {
            "margins": kpis.margins(session, since.date(), today, asked.narrow),
            "between": supply.intercompany(session, since),
        }
    if role == "ai":
        beside = {"reviewers": models.reviewers(session, since), "in_use": models.all_in_use(session, me.now)}
    if role == "operations":
        beside = {
            "expected": models.newest(session, ["cases_24"], "queue:%", me.now - timedelta(hours=6)),
            "depths": desk.queue_counts(session, me.now), "slowest": operations.slowest_runs(session, since), "stuck": operations.stuck(session, me.now),
        }  # fmt: skip
    return page(
        "figures.html", me, session, asked=asked, role=role, roles=list(kpis.ROLES), tiles=tiles, charts=[c for c in charts if c], shown=shown,
        there=kpis.cuts_there_are(session), counted_at=kpis.counted_at(session), people=desk.names(session), current="Figures", **beside,
    )  # fmt: skip


def _by_cut(session: Session, kpi: Kpi, asked: Asked, today: date) -> plots.Bars | None:
    found = kpis.counted(session, kpi, today - timedelta(days=asked.days - 1), today, asked.narrow, kpi.usual)
    values = [(_called(kpi.usual, cut), value, shown(value, kpi.unit)) for cut, value in found[:8] if value is not None]
    title = f"{kpi.name}, by {CUT_WORDS.get(kpi.usual, kpi.usual)}"
    return plots.named(title, values) if len(values) > 1 else None


def _called(cut: str, value: str | None) -> str:
    return (value or "–") if cut in ("entity", "warehouse", "supplier") else words.title(value) or "–"


def _kpi(slug: str) -> Kpi:
    if slug not in BY_SLUG:
        raise NotFound(f"There is no figure {slug}.")
    return BY_SLUG[slug]


@router.get("/figures/{slug}")
def figure_page(slug: str, session: Work, me: Me, asked: Annotated[Asked, Query()]) -> HTMLResponse:
    """One figure: its definition, its course, by every cut, and the rows it is made of."""
    kpi, today = _kpi(slug), me.now.date()
    since = today - timedelta(days=asked.days - 1)
    cuts = {cut: kpis.counted(session, kpi, since, today, asked.narrow, cut) for cut in CUTS}
    rows = kpis.rows(session, kpi, me.now - timedelta(days=asked.days), me.now, asked.narrow, MOST_ROWS, LATEST)
    return page(
        "figure.html", me, session, kpi=kpi, asked=asked, tile=_tile(session, kpi, asked, today), shown=shown, rows=rows, most=MOST_ROWS, latest=LATEST,
        cuts={cut: found for cut, found in cuts.items() if len(found) > 1 or (found and found[0][0])}, current="Figures",
        counted_at=kpis.counted_at(session), path=f"/figures/{slug}",
    )  # fmt: skip


def _csv(name: str, head: Sequence[str], lines: Iterable[Sequence[Any]]) -> Response:
    """Rows as CSV; what a spreadsheet would take for a formula is told to be text."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(head)
    for line in lines:
        writer.writerow([f"'{cell}" if isinstance(cell, str) and cell[:1] in "=+-@\t\r" else cell for cell in line])
    disposition = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response(out.getvalue(), media_type="text/csv; charset=utf-8", headers=disposition)


@router.get("/figures/{slug}/rows.csv")
def rows_csv(slug: str, session: Work, me: Me, asked: Annotated[Asked, Query()]) -> Response:
    """The rows of a figure."""
    kpi = _kpi(slug)
    rows = kpis.rows(session, kpi, me.now - timedelta(days=asked.days), me.now, asked.narrow, 100_000)
    return _csv(
        slug,
        ["ref", "document", "at", "value", *CUTS],
        ([r.ref, r.document, r.at.isoformat(), r.value, *r.cuts.values()] for r in rows),
    )


@router.get("/figures.csv")
def figures_csv(session: Work, me: Me, asked: Annotated[Asked, Query()]) -> Response:
    """All figures of a role, whole and by the cut that says most."""
    role, today = asked.role or _first_role(me), me.now.date()
    since = today - timedelta(days=asked.days - 1)
    lines: list[list[Any]] = []
    for slug in kpis.ROLES.get(role, []):
        kpi = BY_SLUG[slug]
        for by in ("", kpi.usual):
            for cut, value in kpis.counted(session, kpi, since, today, asked.narrow, by):
                lines.append([kpi.name, kpi.unit, by, cut or "", value, kpi.words])
    return _csv(f"figures-{role}", ["figure", "unit", "by", "cut", "value", "definition"], lines)


@interface.get("/figures")
def figures_json(session: Work, me: Me, days: Days = 90, entity: str | None = None) -> list[dict[str, Any]]:
    """Key figures with their definitions, over the last days, of one firm or all."""
    today, narrow = me.now.date(), Narrow(entity or "")
    return [
        {
            "name": kpi.name,
            "definition": kpi.words,
            "unit": kpi.unit,
            "values": [
                {"cut": c, "value": v}
                for c, v in kpis.counted(session, kpi, today - timedelta(days=days - 1), today, narrow, kpi.usual)
            ],
        }
        for kpi in kpis.KPIS
    ]
