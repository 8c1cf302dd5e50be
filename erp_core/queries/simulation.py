"""What a simulated warehouse, customer and reviewer look at, and the figures of a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from erp_core.queries import kpis


def order_count(session: Session) -> int:
    """Orders there are."""
    return int(session.execute(text("SELECT count(*) FROM sales_order")).scalar_one())


def open_holds(session: Session, now: datetime) -> Sequence[Any]:
    """(order, line, reason, days held) of active holds, oldest first."""
    query = """SELECT order_number, line, reason, extract(epoch FROM cast(:now AS timestamptz) - placed_at) / 86400
        FROM hold WHERE released_at IS NULL ORDER BY id"""
    return session.execute(text(query), {"now": now}).all()


def released(session: Session) -> list[tuple[str, str, list[tuple[int, Decimal]]]]:
    """(order, warehouse, [(line, quantity)]) that warehouses may ship, by order."""
    query = """SELECT o.number, o.warehouse, l.line, l.quantity_released FROM sales_order o JOIN order_line l ON l.order_number = o.number
        WHERE o.status = 'released' AND l.quantity_released > 0 ORDER BY o.number, l.line"""
    found: dict[str, tuple[str, str, list[tuple[int, Decimal]]]] = {}
    for order, warehouse, line, quantity in session.execute(text(query)):
        found.setdefault(order, (order, warehouse, []))[2].append((line, quantity))
    return list(found.values())


def invoice_of(session: Session, shipment: str) -> tuple[str, str, Decimal, date] | None:
    """(number, customer, amount, due) of a shipment's invoice."""
    query = "SELECT number, customer, amount, due_on FROM invoice WHERE shipment = :shipment"
    row = session.execute(text(query), {"shipment": shipment}).first()
    return (row[0], row[1], row[2], row[3]) if row else None


def first_line_of(session: Session, shipment: str) -> tuple[str, str, int, Decimal]:
    """(order, warehouse, line, base quantity) of the first line of a shipment."""
    query = """SELECT s.order_number, s.warehouse, l.line, l.quantity FROM shipment s JOIN shipment_line l ON l.shipment = s.number
        WHERE s.number = :shipment ORDER BY l.line LIMIT 1"""
    row = session.execute(text(query), {"shipment": shipment}).one()
    return row[0], row[1], row[2], row[3]


def last_return(session: Session) -> str:
    """The newest return."""
    query = "SELECT number FROM return_order ORDER BY requested_at DESC, length(number) DESC, number DESC LIMIT 1"
    return str(session.execute(text(query)).scalar_one())


def low(session: Session) -> Sequence[Any]:
    """(warehouse, item, free, waiting) where little is free or somebody waits."""
    query = """SELECT s.warehouse, s.sku, s.quantity_free AS free, coalesce(w.wanted, 0)
        FROM stock_level s LEFT JOIN (SELECT o.warehouse, l.sku, sum(l.quantity_base - l.quantity_allocated - l.quantity_shipped) AS wanted
          FROM order_line l JOIN sales_order o ON o.number = l.order_number WHERE o.status IN ('validated', 'allocated', 'released')
          AND l.quantity_base > l.quantity_allocated + l.quantity_shipped GROUP BY o.warehouse, l.sku) w
          ON w.warehouse = s.warehouse AND w.sku = s.sku
        WHERE s.quantity_free < 60 OR w.wanted > 0 ORDER BY s.warehouse, s.sku"""
    return session.execute(text(query)).all()


def last_purchase(session: Session) -> str:
    """The purchase order written last."""
    query = "SELECT number FROM purchase_order ORDER BY length(number) DESC, number DESC LIMIT 1"
    return str(session.execute(text(query)).scalar_one())


def journal(session: Session) -> Iterable[Any]:
    """What happened, in order, without technical numbers."""
    query = "SELECT at, actor, tag, subject, before, after FROM journal_entry WHERE actor NOT IN ('import', 'migrate') ORDER BY id"
    return session.execute(text(query))


FIGURES = {
    "orders": "SELECT count(*) FROM sales_order",
    "backordered_lines": """SELECT count(*) FROM order_line l JOIN sales_order o ON o.number = l.order_number
        WHERE o.status IN ('validated', 'allocated', 'released') AND l.quantity_base > l.quantity_allocated + l.quantity_shipped""",
    "invoices": "SELECT count(*) FROM invoice",
    "purchase_orders": "SELECT count(*) FROM purchase_order",
    "purchases_in_full": "SELECT round(avg((l.quantity_received >= l.quantity)::int), 4) FROM purchase_order_line l JOIN purchase_order o ON o.number = l.order_number WHERE o.status IN ('received', 'closed')",
    "supplier_invoices_matched": "SELECT round(avg((status IN ('matched', 'paid'))::int), 4) FROM supplier_invoice",
    "disruptions": "SELECT count(*) FROM disruption",
    "returns": "SELECT count(*) FROM return_order",
    "journal_entries": "SELECT count(*) FROM journal_entry",
}
STATUSES = "SELECT status, count(*) FROM sales_order GROUP BY status ORDER BY status"


def figures(session: Session, start: datetime, end: datetime) -> dict[str, Any]:
    """What came of a run: counts, and the key figures as every installation shows them."""
    found: dict[str, Any] = {name: session.execute(text(query)).scalar_one() for name, query in FIGURES.items()}
    found["orders_by_status"] = {status: count for status, count in session.execute(text(STATUSES))}
    found["figures"] = {
        f.kpi.name: f.values[0][1] if [cut for cut, _ in f.values] == [None] else {str(cut): v for cut, v in f.values}
        for f in kpis.figures(session, start, end)
    }
    return found
