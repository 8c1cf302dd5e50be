"""Pages of the buying side: what to buy and what is coming, purchase orders, receipts, matches, disruptions."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, timedelta
from math import ceil
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from api.access import Me, Work
from api.console import page
from api.risk import risks
from erp_core.db import Session
from erp_core.queries import buying_pages as pages
from erp_core.queries import desk, models, policies, purchasing, supply
from erp_core.values import INBOUND_PURCHASE_STATUSES

router = APIRouter(include_in_schema=False)
interface = APIRouter(prefix="/api/v1", tags=["Buying"])
LIKELY = 0.25  # of running empty, to be worth a line


@router.get("/purchasing")
def purchasing_page(session: Work, me: Me) -> HTMLResponse:
    """What to buy, what is written, what is coming, what is apart or under way, what is billed, and how suppliers do."""
    return page(
        "purchasing.html", me, session, disruptions=pages.disruptions(session), current="Purchasing",
        needs=supply.needs(session, policies.active(session), me.now.date()), drafts=purchasing.orders(session, ["draft"]),
        coming=purchasing.orders(session, INBOUND_PURCHASE_STATUSES), apart=pages.set_apart(session),
        transfers=pages.transfers(session), bills=pages.blocked_bills(session), late=me.now.date(),
        suppliers=purchasing.scorecard(session, me.now.date()),
        empty=[s for s in models.newest(session, ["within_7"], "stock:%", me.now - timedelta(days=2)) if s.prediction.value >= LIKELY],
    )  # fmt: skip


def _foreseen(session: Session, number: str) -> list[models.Said]:
    """What models expect of the lines of a purchase order."""
    lines = purchasing.order(session, number).lines
    return [s for line in lines for s in models.said_of(session, f"purchase_order:{number}:{line.sku}")]


@dataclass(frozen=True)
class Arrival:
    """When a line will probably come: the likeliest day, and the days that eight of ten such lines come between."""

    sku: str
    day: date
    first: date
    last: date


def _arrivals(session: Session, number: str, said: list[models.Said]) -> list[Arrival]:
    order = purchasing.order(session, number)
    agreed = order.agreed_date or order.expected_date
    found = [s.prediction for s in said if s.question == "days_late" and s.prediction.low is not None]
    return [
        Arrival(
            p.subject.split(":")[2], *(agreed + timedelta(days=ceil(x)) for x in (p.value, p.low or 0, p.high or 0))
        )
        for p in found
        if agreed is not None
    ]


@router.get("/purchase-orders/{number}")
def purchase_order(number: str, session: Work, me: Me) -> HTMLResponse:
    """A purchase order: how far it is, what came, what was billed, who waits for it."""
    said = _foreseen(session, number)
    return page(
        "purchase_order.html", me, session, page=pages.purchase_page(session, number, policies.active(session), me.now), people=desk.names(session),
        current="", journal=desk.journal(session, subject_name=f"purchase_order:{number}"),
        foreseen=[(s.prediction.subject.split(":")[2], r) for s in said for r in risks([s])], arrivals=_arrivals(session, number, said),
    )  # fmt: skip


@router.get("/receipts/{number:path}")
def receipt(number: str, session: Work, me: Me) -> HTMLResponse:
    """A receipt: what came, what was accepted, what waits apart."""
    return page(
        "receipt.html", me, session, page=pages.receipt_page(session, number), people=desk.names(session), current="",
        journal=desk.journal(session, subject_name=f"receipt:{number}"),
    )  # fmt: skip


@router.get("/bills/{supplier}/{number:path}")
def bill(supplier: str, number: str, session: Work, me: Me) -> HTMLResponse:
    """A supplier's invoice beside its order and receipts."""
    return page(
        "bill.html", me, session, page=pages.bill_page(session, supplier, number, policies.active(session)), people=desk.names(session), current="",
        journal=desk.journal(session, subject_name=f"bill:{supplier}:{number}"),
    )  # fmt: skip


@router.get("/disruptions/{number}")
def disruption(number: int, session: Work, me: Me) -> HTMLResponse:
    """One trouble as one thing."""
    return page("disruption.html", me, session, page=pages.disruption_page(session, number), current="")


@interface.get("/purchase-orders/{number}")
def purchase_order_json(number: str, session: Work, me: Me) -> dict[str, Any]:
    """A purchase order with its lines and how far they are."""
    found = purchasing.order(session, number)
    head = {"number": number, "supplier": found.supplier, "warehouse": found.warehouse, "version": found.version}
    return {**head, **purchasing.snapshot(found)}


@interface.get("/needs")
def needs_json(session: Work, me: Me) -> list[dict[str, Any]]:
    """What to buy now: item, warehouse, source and quantity, with the demand that says so."""
    return [asdict(need) for need in supply.needs(session, policies.active(session), me.now.date())]


@interface.get("/suppliers")
def suppliers_json(session: Work, me: Me) -> list[dict[str, Any]]:
    """Suppliers by what they did over a year: lead time and spread in days, shares on time, in full, with discrepancies."""
    return purchasing.scorecard(session, me.now.date())


@interface.get("/disruptions")
def disruptions_json(session: Work, me: Me) -> list[dict[str, Any]]:
    """Disruptions that are not over, the newest first."""
    return pages.disruptions(session)


@interface.get("/availability/{sku}")
def availability_json(sku: str, session: Work, me: Me) -> dict[str, Any]:
    """An item by warehouse: on hand, allocated, held, set aside, free, and what is on its way when."""
    return pages.availability(session, sku)
