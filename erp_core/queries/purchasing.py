"""Purchase orders, receipts and supplier invoices, and what rules need to know of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, func, select, text
from sqlalchemy.orm import Session, selectinload

from erp_core.errors import NotFound
from erp_core.policy import Policy
from erp_core.rules.matching import Bill, Billed, MatchLine, overcharge
from erp_core.rules.receiving import OrderedLine, Tolerances, tolerances
from erp_core.tables.parties import Entity, Supplier
from erp_core.tables.purchasing import (
    PurchaseOrder,
    PurchaseOrderLine,
    Receipt,
    SupplierInvoice,
    SupplierInvoiceLine,
    Tolerance,
)
from erp_core.tables.stock import Warehouse
from erp_core.values import INBOUND_PURCHASE_STATUSES, BillStatus, PurchaseStatus, money, plain


def order(session: Session, number: str, *, lock: bool = False) -> PurchaseOrder:
    """The purchase order with its lines; locked for change on request. Raises NotFound."""
    query = select(PurchaseOrder).where(PurchaseOrder.number == number).options(selectinload(PurchaseOrder.lines))
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    found = session.scalars(query).one_or_none()
    if found is None:
        raise NotFound(f"There is no purchase order {number}.")
    return found


def total(found: PurchaseOrder) -> Decimal:
    """What the order costs."""
    return money(sum((x.unit_cost * x.quantity for x in found.lines), Decimal(0)))


def snapshot(found: PurchaseOrder) -> dict[str, Any]:
    """A purchase order as journal, preview and screen show it."""
    return {
        "status": found.status,
        "expected_date": found.expected_date.isoformat() if found.expected_date else None,
        "total": str(total(found)),
        "lines": {
            str(x.line): {
                "sku": x.sku,
                "quantity": plain(x.quantity),
                "unit_cost": str(x.unit_cost),
                "expected_date": x.expected_date.isoformat() if x.expected_date else None,
                "received": plain(x.quantity_received),
                "damaged": plain(x.quantity_damaged),
            }
            for x in found.lines
        },
    }


def open_quantity(line: PurchaseOrderLine) -> Decimal:
    """What of a line has not come yet."""
    return max(line.quantity - line.quantity_received - line.quantity_damaged, Decimal(0))


def ordered_lines(found: PurchaseOrder) -> list[OrderedLine]:
    """The lines as receiving rules look at them."""
    return [
        OrderedLine(x.line, x.sku, x.quantity, x.quantity - x.quantity_received, x.quantity_damaged, x.unit_cost)
        for x in found.lines
    ]


def limits(
    session: Session, skus: Iterable[str], supplier: str | None, warehouse: str, policy: Policy
) -> dict[str, Tolerances]:
    """Tolerances of each item, by the hierarchy item, supplier, entity, policy."""
    wanted = sorted(set(skus))
    entity = session.get_one(Warehouse, warehouse).entity
    query = select(Tolerance).where(
        ((Tolerance.scope == "item") & Tolerance.key.in_(wanted))
        | ((Tolerance.scope == "supplier") & (Tolerance.key == (supplier or "")))
        | ((Tolerance.scope == "entity") & (Tolerance.key == entity))
    )
    known = {
        (t.scope, t.key): {name: getattr(t, name) for name in Tolerances.__slots__} for t in session.scalars(query)
    }
    wider = (known.get(("supplier", supplier or ""), {}), known.get(("entity", entity), {}))
    return {sku: tolerances(policy.match, known.get(("item", sku), {}), *wider) for sku in wanted}


def receipts(session: Session, purchase_order: str) -> list[Receipt]:
    """Receipts of an order, oldest first."""
    query = select(Receipt).where(Receipt.purchase_order == purchase_order).options(selectinload(Receipt.lines))
    return list(session.scalars(query.order_by(Receipt.received_at, Receipt.number)))


def bill(session: Session, supplier: str, number: str, *, lock: bool = False) -> SupplierInvoice:
    """A supplier's invoice with its lines; the one that stands when others of its number were sent back. Raises NotFound."""
    query = (
        select(SupplierInvoice)
        .where(SupplierInvoice.supplier == supplier, SupplierInvoice.number == number)
        .order_by(SupplierInvoice.status == BillStatus.REJECTED, SupplierInvoice.id.desc())
        .limit(1)
        .options(selectinload(SupplierInvoice.lines))
    )
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    found = session.scalars(query).one_or_none()
    if found is None:
        raise NotFound(f"There is no invoice {number} of {supplier}.")
    return found


def bills(session: Session, purchase_order: str) -> list[SupplierInvoice]:
    """Invoices of an order, in the order they were recorded."""
    query = select(SupplierInvoice).where(SupplierInvoice.purchase_order == purchase_order)
    return list(session.scalars(query.options(selectinload(SupplierInvoice.lines)).order_by(SupplierInvoice.id)))


def billed_of(session: Session, purchase_order: str, *statuses: BillStatus) -> dict[int, Decimal]:
    """What is billed of each line of an order, by invoices of these statuses, or by all that were not sent back."""
    query = (
        select(SupplierInvoiceLine.order_line, func.sum(SupplierInvoiceLine.quantity))
        .join(SupplierInvoice, SupplierInvoice.id == SupplierInvoiceLine.invoice_id)
        .where(
            SupplierInvoice.purchase_order == purchase_order,
            SupplierInvoice.status.in_(statuses) if statuses else SupplierInvoice.status != BillStatus.REJECTED,
            SupplierInvoiceLine.order_line.is_not(None),
        )
        .group_by(SupplierInvoiceLine.order_line)
    )
    return {int(line): quantity for line, quantity in session.execute(query) if line is not None}


def match_facts(
    session: Session, found: SupplierInvoice, ordered: PurchaseOrder | None, policy: Policy
) -> tuple[Bill, list[MatchLine], dict[str, Tolerances]]:
    """An invoice as matching rules look at it: with its order, what came of that, and what other invoices bill of it."""
    supplier = session.get_one(Supplier, found.supplier)
    place = session.get_one(Warehouse, ordered.warehouse) if ordered else None
    entity = session.get_one(Entity, place.entity) if place else None
    lines = [Billed(x.line, x.order_line, x.sku, x.quantity, x.unit_price) for x in found.lines]
    seen = Bill(
        lines=lines,
        currency=found.currency,
        currency_expected=entity.currency if entity else found.currency,
        tax=found.tax,
        tax_percent=policy.tax_percent.get(place.country, Decimal(0)) if place else Decimal(0),
        charges=found.charges,
        charges_before=_charged_by_others(session, found),
        charges_accepted=policy.match.charges,
        block_percent=policy.match.block_percent,
        order_named=found.order_named,
        order_stands=ordered is not None and ordered.status not in (PurchaseStatus.DRAFT, PurchaseStatus.CANCELLED),
        invoiced_at=found.invoiced_at,
        ordered_at=ordered.ordered_at if ordered else None,
        twins=_twins(session, found, policy),
        three_way=supplier.three_way,
    )
    if ordered is None:
        return seen, [], {}
    others = _billed_by_others(session, found)
    match_lines = [_match_line(x, others.get(x.line, [])) for x in ordered.lines]
    return (
        seen,
        match_lines,
        limits(session, {x.sku for x in ordered.lines}, found.supplier, ordered.warehouse, policy),
    )


def _match_line(line: PurchaseOrderLine, others: Sequence[Billed]) -> MatchLine:
    """A line with what other invoices bill of it, and bill too much."""
    return MatchLine(
        line.line,
        line.sku,
        line.unit_cost,
        line.quantity,
        line.quantity_received,
        sum((x.quantity for x in others), Decimal(0)),
        sum((overcharge(x, line.unit_cost) for x in others), Decimal(0)),
    )


def _twins(session: Session, found: SupplierInvoice, policy: Policy) -> list[str]:
    """Invoices of the supplier for the same order and amount around the same time that were recorded before."""
    days = timedelta(days=policy.match.twin_days)
    query = select(SupplierInvoice.number).where(
        SupplierInvoice.supplier == found.supplier,
        SupplierInvoice.purchase_order.is_not_distinct_from(found.purchase_order),
        SupplierInvoice.amount == found.amount,
        SupplierInvoice.id < found.id,
        SupplierInvoice.status != BillStatus.REJECTED,
        SupplierInvoice.invoiced_at.between(found.invoiced_at - days, found.invoiced_at + days),
    )
    return list(session.scalars(query.order_by(SupplierInvoice.id)))


def _billed_by_others(session: Session, found: SupplierInvoice) -> dict[int, list[Billed]]:
    """What earlier invoices bill of each order line."""
    query = (
        select(SupplierInvoiceLine)
        .join(SupplierInvoice, SupplierInvoice.id == SupplierInvoiceLine.invoice_id)
        .where(*_others(found), SupplierInvoiceLine.order_line.is_not(None))
    )
    billed: dict[int, list[Billed]] = {}
    for x in session.scalars(query):
        own = Billed(x.line, x.order_line, x.sku, x.quantity, x.unit_price)
        billed.setdefault(x.order_line or 0, []).append(own)
    return billed


def _charged_by_others(session: Session, found: SupplierInvoice) -> Decimal:
    """Charges of earlier invoices of the order."""
    return Decimal(
        session.scalar(select(func.coalesce(func.sum(SupplierInvoice.charges), 0)).where(*_others(found))) or 0
    )


def _others(found: SupplierInvoice) -> tuple[ColumnElement[bool], ...]:
    """Earlier invoices of the same order that were not sent back."""
    return (
        SupplierInvoice.purchase_order == found.purchase_order,
        SupplierInvoice.id < found.id,
        SupplierInvoice.status != BillStatus.REJECTED,
    )


SCORECARD = """
WITH done AS (SELECT o.number, o.supplier, o.ordered_at, coalesce(o.agreed_date, o.expected_date) AS agreed_date, min(r.received_at)::date AS first_on, max(r.received_at)::date AS last_on
  FROM purchase_order o JOIN receipt r ON r.purchase_order = o.number WHERE o.ordered_at >= :since GROUP BY o.number),
 filled AS (SELECT d.number, bool_and(l.quantity_received >= l.quantity) AS in_full FROM done d
  JOIN purchase_order_line l ON l.order_number = d.number GROUP BY d.number),
 billed AS (SELECT i.supplier, count(*) AS bills, count(*) FILTER (WHERE EXISTS (SELECT FROM discrepancy x WHERE x.invoice_id = i.id
   AND x.kind = 'price')) AS dearer FROM supplier_invoice i WHERE i.invoiced_at >= :since GROUP BY i.supplier)
SELECT s.code, s.name, s.risk, s.status, s.lead_time_days AS lead_promised, count(d.number) AS orders,
  round(avg(d.first_on - d.ordered_at), 1) AS lead_days, round(stddev_samp(d.first_on - d.ordered_at), 1) AS lead_spread,
  round(avg((d.last_on <= d.agreed_date)::int) FILTER (WHERE d.agreed_date IS NOT NULL), 3) AS on_time,
  round(avg(f.in_full::int), 3) AS in_full,
  round(avg((EXISTS (SELECT FROM discrepancy x WHERE x.purchase_order = d.number AND x.receipt IS NOT NULL
    AND x.kind <> 'late'))::int), 3) AS discrepancy_rate,
  max(b.bills) AS bills, round(max(b.dearer)::numeric / nullif(max(b.bills), 0), 3) AS price_variance_rate
FROM supplier s LEFT JOIN done d ON d.supplier = s.code LEFT JOIN filled f ON f.number = d.number
LEFT JOIN billed b ON b.supplier = s.code
WHERE cast(:supplier AS text) IS NULL OR s.code = :supplier
GROUP BY s.code ORDER BY count(d.number) DESC, s.code
"""


def scorecard(session: Session, today: date, supplier: str | None = None, days: int = 365) -> list[dict[str, Any]]:
    """Each supplier by what it did: lead time and its spread in days, shares (0 to 1) on time, in full, with discrepancies, billed dearer."""
    parameters = {"since": today - timedelta(days=days), "supplier": supplier}
    return [dict(row._mapping) for row in session.execute(text(SCORECARD), parameters)]


def orders(session: Session, statuses: Sequence[str], limit: int = 200) -> list[dict[str, Any]]:
    """Purchase orders of some statuses, the soonest expected first."""
    query = text(
        """SELECT o.number, o.supplier, s.name, o.warehouse, o.ordered_at, o.expected_date, o.status, o.asked_by,
        sum(l.quantity * l.unit_cost) AS value, count(*) AS lines,
        round(100 * sum(l.quantity_received) / nullif(sum(l.quantity), 0)) AS percent
        FROM purchase_order o JOIN supplier s ON s.code = o.supplier JOIN purchase_order_line l ON l.order_number = o.number
        WHERE o.status = ANY(:statuses) GROUP BY o.number, s.name ORDER BY o.expected_date NULLS FIRST, o.number LIMIT :limit"""
    )
    return [dict(r._mapping) for r in session.execute(query, {"statuses": list(statuses), "limit": limit})]


def open_orders_of(session: Session, supplier: str, limit: int = 25) -> list[PurchaseOrder]:
    """A supplier's purchase orders that are still expected, newest first."""
    waiting = [status.value for status in INBOUND_PURCHASE_STATUSES]
    query = select(PurchaseOrder).where(PurchaseOrder.supplier == supplier, PurchaseOrder.status.in_(waiting))
    return list(session.scalars(query.order_by(PurchaseOrder.ordered_at.desc(), PurchaseOrder.number).limit(limit)))
