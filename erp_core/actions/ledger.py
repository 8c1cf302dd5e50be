"""Goods move from one place to another: the shelf follows, and both sides are written down."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from erp_core.actions.context import Context
from erp_core.errors import NotFound
from erp_core.tables.catalog import Item
from erp_core.tables.stock import Quarantined, StockLevel, StockMovement, Warehouse

COUNT, SCRAP = "count", "scrap"


def shelf(warehouse: str) -> str:
    """The place of a warehouse's stock."""
    return f"warehouse:{warehouse}"


def quarantine(warehouse: str) -> str:
    """Where goods wait for a quality check, or for whoever takes them back."""
    return f"quarantine:{warehouse}"


def put(level: StockLevel, quantity: Decimal, source: str, reference: str, context: Context) -> None:
    """Goods come onto the shelf."""
    level.quantity_on_hand += quantity
    move(level.sku, quantity, source, shelf(level.warehouse), reference, context)


def take(level: StockLevel, quantity: Decimal, target: str, reference: str, context: Context) -> None:
    """Goods leave the shelf. The database refuses what is bound or not there."""
    level.quantity_on_hand -= quantity
    move(level.sku, quantity, shelf(level.warehouse), target, reference, context)


def move(sku: str, quantity: Decimal, source: str, target: str, reference: str, context: Context) -> None:
    """Write a movement down; nothing moves by nothing."""
    if quantity:
        made = StockMovement(
            at=context.now, sku=sku, quantity=quantity, source=source, target=target, reference=reference
        )
        context.session.add(made)


def set_apart(
    warehouse: str,
    sku: str,
    quantity: Decimal,
    source: str,
    reference: str,
    reason: str,
    context: Context,
    lot: str | None = None,
    order_line: int | None = None,
) -> None:
    """Goods that are there and cannot be sold: they wait apart for a person."""
    if quantity:
        made = Quarantined(
            warehouse=warehouse,
            sku=sku,
            quantity=quantity,
            lot=lot,
            order_line=order_line,
            reference=reference,
            reason=reason,
            since=context.now,
        )
        context.session.add(made)
        move(sku, quantity, source, quarantine(warehouse), reference, context)


OPENING = """
INSERT INTO stock_movement (at, sku, quantity, source, target, reference)
SELECT :now, sku, quantity_on_hand, 'count', 'warehouse:' || warehouse, 'opening balance' FROM stock_level s
WHERE quantity_on_hand > 0 AND NOT EXISTS (SELECT FROM stock_movement m WHERE m.sku = s.sku
  AND (m.target = 'warehouse:' || s.warehouse OR m.source = 'warehouse:' || s.warehouse))
"""


def open_balances(session: Session, now: datetime) -> None:
    """What shelves that were never written of hold: after an import."""
    session.execute(text(OPENING), {"now": now})


def level(session: Session, warehouse: str, sku: str, *, make: bool = False) -> StockLevel:
    """The locked level of an item at a warehouse; on request an empty one where there was none. Raises NotFound."""
    found = session.get(StockLevel, (warehouse, sku), with_for_update=True, populate_existing=True)
    if found is not None:
        return found
    if not make or session.get(Warehouse, warehouse) is None or session.get(Item, sku) is None:
        raise NotFound(f"{warehouse} keeps no stock of {sku}.")
    first = insert(StockLevel).values(warehouse=warehouse, sku=sku, quantity_on_hand=0)
    session.execute(first.on_conflict_do_nothing())  # somebody else's first goods may come at the same moment
    return session.get_one(StockLevel, (warehouse, sku), with_for_update=True, populate_existing=True)
