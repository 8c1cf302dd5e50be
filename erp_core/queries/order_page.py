"""Everything about one order on one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.orm import Session

from erp_core.policy import Policy
from erp_core.queries import billing, catalog, desk, sales
from erp_core.rules import changes
from erp_core.rules import desk as desk_rules
from erp_core.rules.desk import Subject
from erp_core.tables.billing import Invoice
from erp_core.tables.fulfilment import Shipment, ShipmentLine
from erp_core.tables.parties import Customer
from erp_core.tables.returns import Return
from erp_core.tables.sales import Hold, OrderLine, SalesOrder
from erp_core.tables.stock import Allocation
from erp_core.values import CHANGEABLE_ORDER_STATUSES, HoldReason, OrderStatus

STAGES: list[OrderStatus] = [s for s in OrderStatus if s.value != "cancelled"]


@dataclass(frozen=True)
class HeldFor:
    """An active hold: its rule, what it stops, and who may release it."""

    hold: Hold
    rule: str
    stops: list[str]
    may_release: list[str]


@dataclass(frozen=True)
class LineView:
    """A line with its bound stock, what it lacks and when that could be there."""

    line: OrderLine
    name: str
    allocations: list[Allocation]
    backordered: Decimal
    promise: date | None
    elsewhere: dict[str, Decimal]
    substitutes: list[str]


@dataclass(frozen=True)
class CreditView:
    """How the customer stands, and whether what finance reported is too old to be relied on."""

    exposure: Decimal
    limit: Decimal
    currency: str
    standing: str
    reported_at: datetime | None
    stale: bool


@dataclass(frozen=True)
class OrderPage:
    """An order with everything that belongs to it."""

    order: SalesOrder
    total: Decimal
    holds: list[HeldFor]
    lines: list[LineView]
    shipments: list[tuple[Shipment, list[ShipmentLine]]]
    invoices: list[Invoice]
    returns: list[Return]
    credit: CreditView
    reached: int
    stages: list[OrderStatus] = field(default_factory=lambda: list(STAGES))
    late: str | None = None
    late_cost: Decimal = Decimal(0)


def order_page(session: Session, number: str, policy: Policy, now: datetime) -> OrderPage:
    """Read it all. Raises NotFound."""
    order = sales.order(session, number)
    total = sales.total(order)
    holds = [_held(session, hold, total, policy, now) for hold in sales.active_holds(session, number)]
    ended = order.status not in CHANGEABLE_ORDER_STATUSES
    late = changes.too_late(number, order.status, picked=order.picked_at is not None)
    return OrderPage(
        order=order,
        total=total,
        holds=holds,
        lines=_lines(session, order, now, ended=ended),
        shipments=_shipments(session, number),
        invoices=billing.invoices_of_orders(session, [number]),
        returns=list(
            session.scalars(select(Return).where(Return.order_number == number).order_by(Return.requested_at))
        ),
        credit=_credit(session, order.customer, policy, now),
        reached=STAGES.index(OrderStatus(order.status)) if order.status in STAGES else -1,
        late=late.text if late else None,
        late_cost=changes.cost(late, len(order.lines), total, policy),
    )


def _credit(session: Session, code: str, policy: Policy, now: datetime) -> CreditView:
    customer = session.get_one(Customer, code)
    reported = customer.credit_reported_at
    stale = reported is not None and reported < now - timedelta(hours=policy.credit.report_hours)
    exposure = billing.exposure(session, code, now.date()).total
    return CreditView(exposure, customer.credit_limit, customer.currency, customer.credit_standing, reported, stale)


def _held(session: Session, hold: Hold, total: Decimal, policy: Policy, now: datetime) -> HeldFor:
    rule = policy.holds[HoldReason(hold.reason)]
    subject = Subject("release_hold", total, hold.reason)
    able = [u.name for u, p in desk.people(session, now) if desk_rules.authority(policy, p, subject).allowed]
    return HeldFor(hold, rule.rule, list(rule.blocks), able)


def _lines(session: Session, order: SalesOrder, now: datetime, *, ended: bool) -> list[LineView]:
    picture = catalog.stock_picture(session, {line.sku for line in order.lines})
    query = select(Allocation).where(Allocation.order_number == order.number).order_by(Allocation.id)
    bound = list(session.scalars(query))
    views = []
    for line in order.lines:
        lacking = Decimal(0) if ended else sales.backordered(line)
        free = picture.free[line.sku]
        day = picture.promise(line.sku, order.warehouse, lacking, now.date()) if lacking else None
        views.append(
            LineView(
                line,
                picture.names.get(line.sku, ""),
                [a for a in bound if a.line == line.line],
                lacking,
                day,
                {w: q for w, q in free.items() if w != order.warehouse and q > 0} if lacking else {},
                picture.substitutes[line.sku] if lacking else [],
            )
        )
    return views


def _shipments(session: Session, number: str) -> list[tuple[Shipment, list[ShipmentLine]]]:
    shipments = session.scalars(
        select(Shipment).where(Shipment.order_number == number).order_by(Shipment.shipped_at)
    ).all()
    query = select(ShipmentLine).where(ShipmentLine.shipment.in_([s.number for s in shipments]))
    lines: Sequence[ShipmentLine] = session.scalars(query.order_by(ShipmentLine.line)).all()
    return [(s, [x for x in lines if x.shipment == s.number]) for s in shipments]
