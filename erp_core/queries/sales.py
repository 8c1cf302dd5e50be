"""Orders, and the facts their validation needs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, selectinload

from erp_core.errors import NotFound
from erp_core.policy import Policy
from erp_core.queries import billing, catalog
from erp_core.rules.sales import LineFacts, OrderFacts
from erp_core.tables.parties import Customer, Entity
from erp_core.tables.sales import Hold, OrderLine, SalesOrder
from erp_core.values import plain


def order(session: Session, number: str, *, lock: bool = False) -> SalesOrder:
    """The order with its lines; locked for change on request. Raises NotFound."""
    query = select(SalesOrder).where(SalesOrder.number == number).options(selectinload(SalesOrder.lines))
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    found = session.scalars(query).one_or_none()
    if found is None:
        raise NotFound(f"There is no sales order {number}.")
    return found


def active_holds(session: Session, number: str) -> list[Hold]:
    """Holds that stop the order now, in the order they were placed."""
    query = select(Hold).where(Hold.order_number == number, Hold.released_at.is_(None)).order_by(Hold.id)
    return list(session.scalars(query))


def snapshot(session: Session, number: str) -> dict[str, Any]:
    """The order as the journal, the preview and the screen show it: plain values, no technical ids."""
    return snapshot_of(session, order(session, number))


def snapshot_of(session: Session, found: SalesOrder) -> dict[str, Any]:
    """The snapshot of an order that was read already."""
    return {
        "status": found.status,
        "requested_date": _day(found.requested_date),
        "promised_date": _day(found.promised_date),
        "ship_to": found.ship_to,
        "expedited": found.expedited,
        "total": str(total(found)),
        "lines": {
            str(x.line): {
                "sku": x.sku,
                "quantity": f"{plain(x.quantity_ordered)} {x.uom}",
                "allocated": plain(x.quantity_allocated),
                "backordered": plain(backordered(x)),
                "price": str(x.unit_price),
                "requested_date": _day(x.requested_date),
            }
            for x in found.lines
        },
        "holds": sorted(_hold_word(h) for h in active_holds(session, found.number)),
    }


def total(found: SalesOrder) -> Decimal:
    """Value of the order: price per ordered unit times quantity."""
    return sum((x.unit_price * x.quantity_ordered for x in found.lines), Decimal(0)).quantize(Decimal("0.01"))


def backordered(line: OrderLine) -> Decimal:
    """Open base quantity without an allocation."""
    return max(line.quantity_base - line.quantity_allocated - line.quantity_shipped, Decimal(0))


def facts(session: Session, found: SalesOrder, policy: Policy) -> OrderFacts:
    """Everything validation looks at; the order itself is not part of the exposure it is added to."""
    customer = session.get_one(Customer, found.customer)
    entity = session.get_one(Entity, customer.entity)
    return OrderFacts(
        number=found.number,
        customer=customer.code,
        customer_status=customer.status,
        currency=customer.currency,
        ordered_on=found.ordered_at.date(),
        ship_to_country=found.ship_to_country,
        home_country=entity.country,
        credit_limit=customer.credit_limit,
        other_exposure=billing.exposure(session, customer.code, found.ordered_at.date(), without=found.number).total,
        same_po=_same_po(session, found, policy.orders.duplicate_days),
        lines=[_line_facts(session, found, x) for x in found.lines],
    )


def _line_facts(session: Session, found: SalesOrder, line: OrderLine) -> LineFacts:
    item = catalog.item_facts(session, line.sku)
    usual, earlier = _usual(session, found, line.sku)
    per_base = line.unit_price * line.quantity_ordered / line.quantity_base if line.quantity_base else line.unit_price
    return LineFacts(
        line=line.line,
        sku=line.sku,
        item=item,
        quantity=line.quantity_base,
        unit_price=per_base,
        agreements=catalog.agreements(session, found.customer, line.sku),
        usual_quantity=usual,
        earlier_orders=earlier,
        quantity_short=backordered(line),
    )


def _same_po(session: Session, found: SalesOrder, days: int) -> Sequence[str]:
    if not found.customer_po:
        return ()
    since: datetime = found.ordered_at - timedelta(days=days)
    query = (
        select(SalesOrder.number)
        .where(
            SalesOrder.customer == found.customer,
            func.lower(SalesOrder.customer_po) == found.customer_po.lower(),
            SalesOrder.number != found.number,
            SalesOrder.status != "cancelled",
            SalesOrder.ordered_at.between(since, found.ordered_at),
        )
        .order_by(SalesOrder.number)
    )
    return list(session.scalars(query))


def _usual(session: Session, found: SalesOrder, sku: str) -> tuple[Decimal | None, int]:
    query = (
        select(func.avg(OrderLine.quantity_base), func.count())
        .join(SalesOrder, SalesOrder.number == OrderLine.order_number)
        .where(
            SalesOrder.customer == found.customer,
            OrderLine.sku == sku,
            SalesOrder.number != found.number,
            SalesOrder.status != "cancelled",
            SalesOrder.ordered_at < found.ordered_at,
        )
    )
    average, count = session.execute(query).one()
    return (Decimal(average).quantize(Decimal("0.001")) if average is not None else None), int(count)


def _day(value: Any) -> str | None:
    return value.isoformat() if value is not None else None


def _hold_word(hold: Hold) -> str:
    return hold.reason if hold.line is None else f"{hold.reason} on line {hold.line}"
