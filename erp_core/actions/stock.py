"""Stock bound to order lines. Balance rows are locked in key order, so that two orders never wait for each other."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from sqlalchemy import select

from erp_core.actions import ledger
from erp_core.actions.context import Context
from erp_core.tables.sales import OrderLine, SalesOrder
from erp_core.tables.stock import Allocation, StockLevel

BOUND = ("reserved", "committed")


def rebind(order: SalesOrder, line: OrderLine, allocated: Decimal, released: Decimal, context: Context) -> None:
    """Bind exactly `allocated` base units to the line, of which `released` may leave; the level row follows."""
    more = allocated - line.quantity_allocated
    if more > 0:
        level = _level(order.warehouse, line.sku, context)
        level.quantity_allocated += more
        context.session.add(
            Allocation(
                order_number=order.number,
                line=line.line,
                warehouse=order.warehouse,
                sku=line.sku,
                quantity=more,
                status="reserved",
                created_at=context.now,
            )
        )
    elif more < 0:
        give_back(order, line, -more, context)
    line.quantity_allocated, line.quantity_released = allocated, released
    context.session.flush()
    _commit(order, line, context)


def give_back(
    order: SalesOrder, line: OrderLine, quantity: Decimal, context: Context, status: str = "released"
) -> None:
    """Take `quantity` from the line's allocations, newest first, and return it to stock."""
    line.quantity_released = min(line.quantity_released, line.quantity_allocated - quantity)
    line.quantity_allocated -= quantity
    for allocation in reversed(allocations(order, line, context)):
        taken = min(quantity, allocation.quantity)
        if taken <= 0:
            break
        _level(allocation.warehouse, allocation.sku, context).quantity_allocated -= taken
        _reduce(allocation, taken, status, context)
        quantity -= taken
    context.session.flush()


def free(order: SalesOrder, context: Context) -> None:
    """Give back everything that is bound to the order and has not left."""
    for line in sorted(order.lines, key=lambda x: x.sku):
        free_line(order, line, context)


def free_line(order: SalesOrder, line: OrderLine, context: Context) -> None:
    """Give back what is bound to one line."""
    if line.quantity_allocated > 0:
        give_back(order, line, line.quantity_allocated, context)


def forget_line(order: SalesOrder, line: OrderLine, context: Context) -> None:
    """A removed line takes its released allocations with it; the journal keeps what they were."""
    query = select(Allocation).where(Allocation.order_number == order.number, Allocation.line == line.line)
    for allocation in context.session.scalars(query):
        context.session.delete(allocation)
    context.session.flush()


def ship(order: SalesOrder, line: OrderLine, quantity: Decimal, context: Context) -> None:
    """What leaves: off the shelf, and off the line's allocations, oldest first."""
    left = quantity
    for allocation in allocations(order, line, context):
        taken = min(left, allocation.quantity)
        if taken <= 0:
            break
        level = _level(allocation.warehouse, allocation.sku, context)
        level.quantity_allocated -= taken
        ledger.take(level, taken, f"customer:{order.customer}", f"sales_order:{order.number}", context)
        _reduce(allocation, taken, "shipped", context)
        left -= taken
    line.quantity_released -= quantity
    line.quantity_allocated -= quantity
    line.quantity_shipped += quantity
    context.session.flush()


def allocations(order: SalesOrder, line: OrderLine, context: Context) -> list[Allocation]:
    """What is bound to a line now, oldest first."""
    query = select(Allocation).where(
        Allocation.order_number == order.number, Allocation.line == line.line, Allocation.status.in_(BOUND)
    )
    return list(context.session.scalars(query.order_by(Allocation.id)))


def _reduce(allocation: Allocation, taken: Decimal, status: str, context: Context) -> None:
    """A part of an allocation goes another way than the rest: it becomes a row of its own."""
    if taken == allocation.quantity:
        allocation.status = status
        return
    allocation.quantity -= taken
    context.session.add(
        Allocation(
            order_number=allocation.order_number,
            line=allocation.line,
            warehouse=allocation.warehouse,
            sku=allocation.sku,
            quantity=taken,
            status=status,
            created_at=context.now,
        )
    )


def _commit(order: SalesOrder, line: OrderLine, context: Context) -> None:
    """Released stock stays bound until it leaves; reserved stock only for a while."""
    committed = line.quantity_allocated > 0 and line.quantity_released >= line.quantity_allocated
    for allocation in allocations(order, line, context):
        allocation.status = "committed" if committed else "reserved"
        if committed:
            allocation.expires_at = None
        elif allocation.expires_at is None:
            allocation.expires_at = context.now + timedelta(hours=context.policy.allocation.reserve_hours)
    context.session.flush()


def _level(warehouse: str, sku: str, context: Context) -> StockLevel:
    return context.session.get_one(StockLevel, (warehouse, sku), with_for_update=True, populate_existing=True)
