"""Stock bound to order lines. Balance rows are locked in key order, so that two orders never wait for each other."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import select

from erp_core.actions.context import Context
from erp_core.queries import sales
from erp_core.rules import stock as rules
from erp_core.tables.sales import OrderLine, SalesOrder
from erp_core.tables.stock import Allocation, StockLevel


def bind(order: SalesOrder, context: Context) -> None:
    """Allocate what is free at the order's warehouse to lines that still lack it."""
    wanted = [line for line in order.lines if sales.backordered(line) > 0]
    levels = _locked(order.warehouse, {line.sku for line in wanted}, context)
    for line in wanted:
        level = levels.get(line.sku)
        if level is None:
            continue
        quantity = rules.bind(sales.backordered(line), level.quantity_on_hand, level.quantity_allocated)
        if quantity > 0:
            _allocate(order, line, level, quantity, context)


def free(order: SalesOrder, context: Context) -> None:
    """Give back everything that is bound to the order and has not left."""
    _locked(order.warehouse, {line.sku for line in order.lines}, context)
    for line in order.lines:
        free_line(order, line, context)


def free_line(order: SalesOrder, line: OrderLine, context: Context) -> None:
    """Give back what is bound to one line."""
    query = select(Allocation).where(
        Allocation.order_number == order.number,
        Allocation.line == line.line,
        Allocation.status.in_(["reserved", "committed"]),
    )
    for allocation in context.session.scalars(query.order_by(Allocation.id)):
        level = context.session.get_one(StockLevel, (allocation.warehouse, allocation.sku), with_for_update=True)
        level.quantity_allocated -= allocation.quantity
        allocation.status = "released"
    line.quantity_allocated = Decimal(0)
    context.session.flush()


def forget_line(order: SalesOrder, line: OrderLine, context: Context) -> None:
    """A removed line takes its released allocations with it; the journal keeps what they were."""
    query = select(Allocation).where(Allocation.order_number == order.number, Allocation.line == line.line)
    for allocation in context.session.scalars(query):
        context.session.delete(allocation)
    context.session.flush()


def _locked(warehouse: str, skus: set[str], context: Context) -> dict[str, StockLevel]:
    query = (
        select(StockLevel)
        .where(StockLevel.warehouse == warehouse, StockLevel.sku.in_(skus))
        .order_by(StockLevel.warehouse, StockLevel.sku)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return {level.sku: level for level in context.session.scalars(query)}


def _allocate(order: SalesOrder, line: OrderLine, level: StockLevel, quantity: Decimal, context: Context) -> None:
    level.quantity_allocated += quantity
    line.quantity_allocated += quantity
    context.session.add(
        Allocation(
            order_number=order.number,
            line=line.line,
            warehouse=level.warehouse,
            sku=level.sku,
            quantity=quantity,
            status="reserved",
            created_at=context.now,
        )
    )
    context.session.flush()
