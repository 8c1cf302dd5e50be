"""Key figures as a page and for systems: every one from its one definition."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from api.access import Me, Work
from api.console import page
from erp_core.errors import NotFound
from erp_core.queries import desk, kpis, models, supply

router = APIRouter(include_in_schema=False)
interface = APIRouter(prefix="/api/v1", tags=["Figures"])
Days = Annotated[int, Query(ge=1, le=3650)]


@router.get("/figures")
def figures_page(session: Work, me: Me, days: Days = 90, entity: str | None = None) -> HTMLResponse:
    """Key figures, margins, and what our firms bill each other."""
    entities = supply.entities(session)
    if entity and entity not in entities:
        raise NotFound(f"There is no entity {entity}.")
    since = me.now - timedelta(days=days)
    return page(
        "figures.html", me, session, figures=kpis.figures(session, since, me.now, entity or None), days=days, entity=entity or "",
        margins=kpis.margins(session, since, me.now, entity or None), entities=entities, between=supply.intercompany(session, since),
        expected=models.newest(session, ["cases_24"], "queue:%", me.now - timedelta(hours=6)), reviewers=models.reviewers(session, since),
        people=desk.names(session), current="Figures",
    )  # fmt: skip


@interface.get("/figures")
def figures_json(session: Work, me: Me, days: Days = 90, entity: str | None = None) -> list[dict[str, Any]]:
    """Key figures with their definitions, over the last days, of one firm or all."""
    found = kpis.figures(session, me.now - timedelta(days=days), me.now, entity)
    return [
        {
            "name": f.kpi.name,
            "definition": f.kpi.words,
            "unit": f.kpi.unit,
            "values": [{"cut": c, "value": v} for c, v in f.values],
        }
        for f in found
    ]
