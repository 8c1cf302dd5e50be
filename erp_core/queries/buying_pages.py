"""What the pages of the buying side show: an order with what came and what was billed, a disruption with all its parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session, selectinload

from erp_core.errors import NotFound
from erp_core.policy import Policy
from erp_core.queries import purchasing, supply
from erp_core.rules import matching
from erp_core.rules.matching import Match
from erp_core.tables.catalog import Item
from erp_core.tables.desk import Case
from erp_core.tables.parties import Supplier
from erp_core.tables.purchasing import Discrepancy, Disruption, PurchaseOrder, Receipt, SupplierInvoice
from erp_core.tables.stock import Quarantined, StockLevel, Transfer
from erp_core.values import OPEN_CASE_STATUSES, PurchaseStatus

STAGES: list[PurchaseStatus] = [s for s in PurchaseStatus if s.value != "cancelled"]


def names(session: Session, skus: Sequence[str]) -> dict[str, str]:
    """Names of items, by number."""
    return {sku: name for sku, name in session.execute(select(Item.sku, Item.name).where(Item.sku.in_(skus)))}


def open_cases(session: Session, *subjects: str) -> list[Case]:
    """Open cases on any of these subjects, oldest first."""
    query = select(Case).where(Case.subject.in_(subjects), Case.status.in_(OPEN_CASE_STATUSES))
    return list(session.scalars(query.order_by(Case.id)))


@dataclass(frozen=True)
class PurchasePage:
    """A purchase order with everything that belongs to it."""

    order: PurchaseOrder
    supplier: Supplier
    total: Decimal
    names: dict[str, str]
    receipts: list[Receipt]
    bills: list[SupplierInvoice]
    differences: list[Discrepancy]
    disruption: Disruption | None
    waiting: list[dict[str, Any]]
    cases: list[Case]
    stages: list[PurchaseStatus]
    reached: int


WAITING = """
SELECT o.number, o.customer, c.name, l.line, l.sku, l.quantity_base - l.quantity_allocated - l.quantity_shipped AS missing,
  o.requested_date, o.promised_date FROM order_line l JOIN sales_order o ON o.number = l.order_number JOIN customer c ON c.code = o.customer
WHERE l.sku = ANY(:skus) AND o.warehouse = :warehouse AND o.status IN ('validated', 'allocated', 'released')
  AND l.quantity_base > l.quantity_allocated + l.quantity_shipped
ORDER BY coalesce(o.promised_date, o.requested_date) NULLS LAST, o.number LIMIT 100
"""


def purchase_page(session: Session, number: str, policy: Policy, now: datetime) -> PurchasePage:
    """Read it all, with who waits for what is on it and when that would be covered. Raises NotFound."""
    order = purchasing.order(session, number)
    skus = [x.sku for x in order.lines]
    found = select(Discrepancy).where(Discrepancy.purchase_order == number).order_by(Discrepancy.id)
    trouble = select(Disruption).where(Disruption.purchase_order == number).order_by(Disruption.id.desc()).limit(1)
    rows = session.execute(text(WAITING), {"skus": skus, "warehouse": order.warehouse})
    days = supply.coverage(session, skus, order.warehouse, policy, now.date())
    waiting = [{**r._mapping, "day": days.get((r.sku, order.warehouse), {}).get((r.number, r.line))} for r in rows]
    return PurchasePage(
        order=order,
        supplier=session.get_one(Supplier, order.supplier),
        total=purchasing.total(order),
        names=names(session, skus),
        receipts=purchasing.receipts(session, number),
        bills=purchasing.bills(session, number),
        differences=list(session.scalars(found)),
        disruption=session.scalars(trouble).first(),
        waiting=waiting,
        cases=open_cases(session, number),
        stages=STAGES,
        reached=STAGES.index(PurchaseStatus(order.status)) if order.status in STAGES else -1,
    )


@dataclass(frozen=True)
class ReceiptPage:
    """A receipt with what was wrong with it and what waits apart."""

    receipt: Receipt
    names: dict[str, str]
    apart: list[Quarantined]
    differences: list[Discrepancy]


def receipt_page(session: Session, number: str) -> ReceiptPage:
    """A receipt. Raises NotFound."""
    query = select(Receipt).where(Receipt.number == number).options(selectinload(Receipt.lines))
    found = session.scalars(query).one_or_none()
    if found is None:
        raise NotFound(f"There is no receipt {number}.")
    apart = select(Quarantined).where(Quarantined.reference == f"receipt:{number}").order_by(Quarantined.id)
    wrong = select(Discrepancy).where(Discrepancy.receipt == number).order_by(Discrepancy.id)
    skus = [x.sku for x in found.lines]
    return ReceiptPage(found, names(session, skus), list(session.scalars(apart)), list(session.scalars(wrong)))


@dataclass(frozen=True)
class MatchRow:
    """One item: what was ordered, came and is billed, side by side."""

    line: int
    sku: str
    ordered: Decimal | None
    cost: Decimal | None
    received: Decimal | None
    billed: Decimal
    price: Decimal
    wrong: list[str]


@dataclass(frozen=True)
class BillPage:
    """A supplier's invoice beside its order and receipts, with every difference as it is now."""

    bill: SupplierInvoice
    supplier: Supplier
    order: PurchaseOrder | None
    receipts: list[Receipt]
    rows: list[MatchRow]
    match: Match
    cases: list[Case]


def bill_page(session: Session, supplier: str, number: str, policy: Policy) -> BillPage:
    """An invoice and its match. Raises NotFound."""
    bill = purchasing.bill(session, supplier, number)
    order = purchasing.order(session, bill.purchase_order) if bill.purchase_order else None
    seen, lines, limits = purchasing.match_facts(session, bill, order, policy)
    match = matching.match(seen, lines, limits)
    by_line = {x.line: x for x in order.lines} if order else {}
    rows = []
    for x in bill.lines:
        own = by_line.get(x.order_line or 0)
        wrong = [d.kind.value for d in match.differences if d.sku == x.sku]
        rows.append(
            MatchRow(
                x.line,
                x.sku,
                own.quantity if own else None,
                own.unit_cost if own else None,
                own.quantity_received if own else None,
                x.quantity,
                x.unit_price,
                wrong,
            )
        )
    return BillPage(
        bill,
        session.get_one(Supplier, supplier),
        order,
        purchasing.receipts(session, order.number) if order else [],
        rows,
        match,
        open_cases(session, bill.key),
    )


@dataclass(frozen=True)
class DisruptionPage:
    """One trouble as one thing: its cases in all functions, its differences, whom it concerns."""

    disruption: Disruption
    cases: list[Case]
    differences: list[Discrepancy]
    orders: list[dict[str, Any]]
    options: list[dict[str, Any]]


def disruption_page(session: Session, number: int) -> DisruptionPage:
    """A disruption. Raises NotFound."""
    found = session.get(Disruption, number)
    if found is None:
        raise NotFound(f"There is no disruption {number}.")
    cases = list(session.scalars(select(Case).where(Case.disruption_id == number).order_by(Case.id)))
    wrong = select(Discrepancy).where(Discrepancy.disruption_id == number).order_by(Discrepancy.id)
    short = [c for c in cases if c.kind == "supply_short"]
    return DisruptionPage(
        found,
        cases,
        list(session.scalars(wrong)),
        [row for c in short for row in c.details.get("orders", [])],
        [{**o, "sku": c.details["sku"]} for c in short for o in c.details.get("options", [])],
    )


def disruptions(session: Session, limit: int = 50) -> list[dict[str, Any]]:
    """Disruptions that are not over, with their open cases and what is at stake; the newest first."""
    query = text(
        """SELECT d.id, d.title, d.supplier, d.purchase_order, d.opened_at, count(c.id) AS cases,
        count(c.id) FILTER (WHERE c.status IN ('new', 'investigating', 'awaiting_review')) AS open, max(c.at_stake) AS at_stake
        FROM disruption d LEFT JOIN case_file c ON c.disruption_id = d.id WHERE d.closed_at IS NULL
        GROUP BY d.id ORDER BY d.id DESC LIMIT :limit"""
    )
    return [dict(r._mapping) for r in session.execute(query, {"limit": limit})]


def set_apart(session: Session, limit: int = 200) -> list[Quarantined]:
    """Goods that wait apart, oldest first."""
    query = select(Quarantined).where(Quarantined.outcome.is_(None)).order_by(Quarantined.since, Quarantined.id)
    return list(session.scalars(query.limit(limit)))


def transfers(session: Session, limit: int = 200) -> list[Transfer]:
    """Transfers under way, oldest first."""
    query = select(Transfer).where(Transfer.status.in_(["ordered", "shipped"])).order_by(Transfer.ordered_at)
    return list(session.scalars(query.limit(limit)))


def blocked_bills(session: Session, limit: int = 200) -> list[SupplierInvoice]:
    """Invoices that are not paid: blocked ones first, then by due day."""
    query = select(SupplierInvoice).where(SupplierInvoice.status.in_(["blocked", "matched", "approved"]))
    return list(
        session.scalars(query.order_by(SupplierInvoice.status != "blocked", SupplierInvoice.due_on).limit(limit))
    )


def availability(session: Session, sku: str) -> dict[str, Any]:
    """Stock of an item by warehouse and what is on its way. Raises NotFound."""
    if session.get(Item, sku) is None:
        raise NotFound(f"There is no item {sku}.")
    levels = session.scalars(select(StockLevel).where(StockLevel.sku == sku).order_by(StockLevel.warehouse))
    coming = supply.inbound(session, [sku])
    return {
        "sku": sku,
        "warehouses": [
            {
                "warehouse": x.warehouse,
                "on_hand": x.quantity_on_hand,
                "allocated": x.quantity_allocated,
                "held": x.quantity_held,
                "set_aside": x.quantity_set_aside,
                "free": x.quantity_free,
            }
            for x in levels
        ],
        "coming": [
            {"warehouse": place, "order": i.purchase_order, "expected": i.expected, "quantity": i.quantity}
            for (_, place), listed in sorted(coming.items())
            for i in listed
        ],
    }
