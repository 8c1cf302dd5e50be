"""What the pages of documents show: a customer, an item, a shipment, a return, and what a number or name leads to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from erp_core.errors import NotFound
from erp_core.queries import billing, catalog, evidence, policies, references, supply
from erp_core.queries.billing import Exposure
from erp_core.queries.evidence import Age, Paid
from erp_core.queries.references import key
from erp_core.rules.stock import Inbound
from erp_core.tables.billing import Invoice
from erp_core.tables.catalog import Item, Price, Substitute
from erp_core.tables.desk import IS_OPEN, Case
from erp_core.tables.fulfilment import Shipment, ShipmentLine
from erp_core.tables.parties import Contact, Customer, ShipTo
from erp_core.tables.returns import Return
from erp_core.tables.sales import Hold, OrderLine, SalesOrder
from erp_core.tables.stock import StockLevel

WEEKS, AHEAD_DAYS = 26, 60
MOST = 50


@dataclass(frozen=True)
class OrderRow:
    """An order in a list."""

    order: SalesOrder
    value: Decimal
    holds: list[str]


@dataclass(frozen=True)
class CustomerPage:
    """A customer: how it stands and pays, its orders and open invoices, who they are, what they want, and its cases."""

    customer: Customer
    exposure: Exposure
    ageing: list[Age]
    paid: Paid
    orders: list[OrderRow]
    invoices: Sequence[Invoice]
    contacts: Sequence[Contact]
    addresses: Sequence[ShipTo]
    prices: Sequence[Price]
    cases: Sequence[Case]


def customer_page(session: Session, code: str, now: datetime) -> CustomerPage:
    """Read it all. Raises NotFound."""
    found = session.get(Customer, code)
    if found is None:
        raise NotFound(f"There is no customer {code}.")
    today = now.date()
    price = select(Price).where(Price.customer == code, (Price.valid_to.is_(None)) | (Price.valid_to >= today))
    return CustomerPage(
        found,
        billing.exposure(session, code, today),
        evidence.ageing(session, code, today),
        evidence.payment_behaviour(session, code, today),
        order_rows(session, customer=code),
        evidence.recent_invoices(session, code, today - timedelta(days=60), MOST),
        session.scalars(select(Contact).where(Contact.customer == code).order_by(Contact.name)).all(),
        session.scalars(select(ShipTo).where(ShipTo.customer == code).order_by(ShipTo.name)).all(),
        session.scalars(price.order_by(Price.sku, Price.min_quantity).limit(MOST)).all(),
        open_cases(session, Case.customer == code),
    )


def order_rows(session: Session, customer: str, limit: int = MOST) -> list[OrderRow]:
    """A customer's orders, newest first, with value and what holds them."""
    query = (
        select(SalesOrder).where(SalesOrder.customer == customer).order_by(SalesOrder.ordered_at.desc()).limit(limit)
    )
    orders = session.scalars(query).all()
    numbers = [o.number for o in orders]
    value = select(OrderLine.order_number, func.sum(OrderLine.unit_price * OrderLine.quantity_ordered))
    values = dict(
        session.execute(value.where(OrderLine.order_number.in_(numbers)).group_by(OrderLine.order_number)).all()
    )
    holds: dict[str, list[str]] = {}
    for number, reason in session.execute(
        select(Hold.order_number, Hold.reason)
        .where(Hold.order_number.in_(numbers), Hold.released_at.is_(None))
        .distinct()
    ):
        holds.setdefault(number, []).append(reason)
    return [
        OrderRow(o, (values.get(o.number) or Decimal(0)).quantize(Decimal("0.01")), holds.get(o.number, []))
        for o in orders
    ]


def open_cases(session: Session, whose: Any) -> Sequence[Case]:
    """Open cases, most urgent first."""
    return session.scalars(
        select(Case).where(whose, IS_OPEN).order_by(Case.band, Case.place, Case.id).limit(MOST)
    ).all()


@dataclass(frozen=True)
class Place:
    """Stock at a warehouse, what is on its way there, what open orders lack, and what could be promised day by day."""

    level: StockLevel
    inbound: list[Inbound]
    waiting: Decimal
    free_by_day: list[tuple[date, Decimal]]


@dataclass(frozen=True)
class ItemPage:
    """An item: stock and promise by warehouse, demand by week, what may replace it, who supplies it, and its cases."""

    item: Item
    places: list[Place]
    demand: list[tuple[date, Decimal]]
    substitutes: list[tuple[Substitute, str, Decimal]]
    sources: Sequence[Any]
    waiting: Sequence[Any]
    cases: Sequence[Case]


DEMAND = """
SELECT date_trunc('week', o.ordered_at)::date AS week, sum(l.quantity_base) FROM order_line l JOIN sales_order o ON o.number = l.order_number
WHERE l.sku = :sku AND o.status <> 'cancelled' AND o.ordered_at >= :since AND o.ordered_at <= :until GROUP BY 1 ORDER BY 1"""
WAITING = """
SELECT o.number, o.customer, c.name, o.warehouse, o.requested_date, l.quantity_base - l.quantity_allocated - l.quantity_shipped AS lacking
FROM order_line l JOIN sales_order o ON o.number = l.order_number JOIN customer c ON c.code = o.customer
WHERE l.sku = :sku AND o.status IN ('entered', 'validated', 'allocated') AND l.quantity_base > l.quantity_allocated + l.quantity_shipped
ORDER BY o.requested_date NULLS LAST, o.number LIMIT 50"""
SUPPLIED = """
SELECT p.supplier, s.name, p.unit_cost, coalesce(p.lead_time_days, s.lead_time_days) AS days FROM item_source p
JOIN supplier s ON s.code = p.supplier WHERE p.sku = :sku ORDER BY p.priority, p.supplier"""


def item_page(session: Session, sku: str, now: datetime) -> ItemPage:
    """Read it all. Raises NotFound."""
    found = session.get(Item, sku)
    if found is None:
        raise NotFound(f"There is no item {sku}.")
    today = now.date()
    picture = catalog.stock_picture(session, {sku})
    inbound = supply.inbound(session, [sku])
    levels = session.scalars(select(StockLevel).where(StockLevel.sku == sku).order_by(StockLevel.warehouse)).all()
    places = [
        _place(
            level,
            inbound.get((sku, level.warehouse), []),
            picture.waiting.get((sku, level.warehouse), Decimal(0)),
            today,
        )
        for level in levels
    ]
    since = today - timedelta(weeks=WEEKS, days=today.weekday())
    weeks = {since + timedelta(weeks=n): Decimal(0) for n in range(WEEKS + 1)}
    weeks |= dict(session.execute(text(DEMAND), {"sku": sku, "since": since, "until": now}).all())
    free = [
        (s, sum(catalog.free_stock(session, s.substitute_sku).values(), Decimal(0)))
        for s in catalog.substitutes(session, sku)
    ]
    names = {i.sku: i.name for i in catalog.items(session, [s.substitute_sku for s, _ in free]).values()}
    whose = (Case.subject.like(f"{sku}@%")) | (Case.details["sku"].astext == sku)
    return ItemPage(
        found, places, sorted(weeks.items()), [(s, names.get(s.substitute_sku, ""), q) for s, q in free],
        session.execute(text(SUPPLIED), {"sku": sku}).all(), session.execute(text(WAITING), {"sku": sku}).all(), open_cases(session, whose),
    )  # fmt: skip


def _place(level: StockLevel, inbound: list[Inbound], waiting: Decimal, today: date) -> Place:
    """Free stock less what open orders lack, and what comes each day; what has no day or is late counts as of today's look, never."""
    free, curve = level.quantity_free - waiting, []
    for n in range(AHEAD_DAYS + 1):
        day = today + timedelta(days=n)
        free += sum((i.quantity for i in inbound if i.expected == day), Decimal(0))
        curve.append((day, free))
    return Place(level, inbound, waiting, curve)


def invoices(session: Session, customer: str, limit: int = MOST) -> Sequence[Invoice]:
    """A customer's invoices, newest first."""
    query = select(Invoice).where(Invoice.customer == customer).order_by(Invoice.invoiced_at.desc(), Invoice.number)
    return session.scalars(query.limit(limit)).all()


def returns(session: Session, customer: str, limit: int = MOST) -> Sequence[Return]:
    """A customer's returns, newest first."""
    return session.scalars(
        select(Return).where(Return.customer == customer).order_by(Return.requested_at.desc()).limit(limit)
    ).all()


@dataclass(frozen=True)
class ShipmentPage:
    """A shipment with its goods, its order and its invoice."""

    shipment: Shipment
    lines: Sequence[ShipmentLine]
    order: SalesOrder
    invoices: Sequence[Invoice]
    cases: Sequence[Case]


def shipment_page(session: Session, number: str) -> ShipmentPage:
    """Read it all. Raises NotFound."""
    found = session.get(Shipment, number)
    if found is None:
        raise NotFound(f"There is no shipment {number}.")
    lines = select(ShipmentLine).where(ShipmentLine.shipment == number).order_by(ShipmentLine.line)
    return ShipmentPage(
        found,
        session.scalars(lines).all(),
        session.get_one(SalesOrder, found.order_number),
        session.scalars(select(Invoice).where(Invoice.shipment == number)).all(),
        open_cases(session, Case.order_number == found.order_number),
    )


@dataclass(frozen=True)
class ReturnPage:
    """A return from request to credit."""

    found: Return
    order: SalesOrder
    cases: Sequence[Case]


def return_page(session: Session, number: str) -> ReturnPage:
    """Read it all. Raises NotFound."""
    found = session.get(Return, number)
    if found is None:
        raise NotFound(f"There is no return {number}.")
    order = session.get_one(SalesOrder, found.order_number)
    return ReturnPage(found, order, open_cases(session, Case.order_number == found.order_number))


PAGES = {"sales_order": "/orders/", "customer_po": "/orders/", "invoice": "/orders/", "shipment": "/shipments/", "tracking": "/shipments/", "purchase_order": "/purchase-orders/"}  # fmt: skip


def address_of(session: Session, words: str) -> str | None:
    """The page that a number belongs to, however it is spelled: case, order, PO, invoice, shipment, purchase order, return, customer, item; or the hash of a policy."""
    said = words.strip().lstrip("#").strip()
    if said.isdecimal() and len(said) < 10 and session.get(Case, int(said)) is not None:
        return f"/cases/{int(said)}"
    hits = {(h.kind, h.value, h.order) for listed in references.resolve(session, [key(said)]).values() for h in listed}
    if len(hits) == 1:
        kind, value, order = hits.pop()
        return f"{PAGES[kind]}{order if PAGES[kind] == '/orders/' else value}"
    for table, page in ((Return, "/returns/"), (Customer, "/customers/"), (Item, "/items/")):
        if session.get(table, said.upper()) is not None:
            return f"{page}{said.upper()}"
    for number in policies.numbers_of(session, said.lower())[:1]:
        return f"/policy/{number}"
    return None
