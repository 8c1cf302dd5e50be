"""Who a sender is, and what the numbers in a mail belong to."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, null, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from erp_core.tables.billing import Invoice
from erp_core.tables.catalog import Item
from erp_core.tables.fulfilment import Shipment
from erp_core.tables.parties import Contact, Customer, Supplier
from erp_core.tables.purchasing import PurchaseOrder
from erp_core.tables.sales import OrderLine, SalesOrder

FREE_MAIL = frozenset(
    {"gmail.com", "outlook.com", "hotmail.com", "yahoo.com", "icloud.com", "aol.com", "gmx.de", "web.de"}
)


@dataclass(frozen=True)
class Sender:
    """To whom an address belongs, by our own records alone."""

    customer: str | None = None
    supplier: str | None = None
    known_contact: bool = False


def sender(session: Session, address: str) -> Sender:
    """The customer or supplier that an address or its domain belongs to."""
    domain = address.rpartition("@")[2]
    contact = session.scalars(select(Contact).where(func.lower(Contact.email) == address)).first()
    if contact is not None:
        return Sender(customer=contact.customer, known_contact=True)
    if not domain or domain in FREE_MAIL:
        return Sender()
    customer = session.scalars(select(Customer.code).where(func.lower(Customer.email_domain) == domain)).first()
    if customer:
        return Sender(customer=customer)
    return Sender(
        supplier=session.scalars(select(Supplier.code).where(func.lower(Supplier.email_domain) == domain)).first()
    )


def known_domains(session: Session) -> dict[str, str]:
    """Mail domains of customers and suppliers, with the name of their owner."""
    rows = [
        *session.execute(select(Customer.email_domain, Customer.name)),
        *session.execute(select(Supplier.email_domain, Supplier.name)),
    ]
    return {domain.lower(): name for domain, name in rows if domain}


KINDS: dict[str, InstrumentedAttribute[Any]] = {
    "sales_order": SalesOrder.number,
    "customer_po": SalesOrder.customer_po,
    "invoice": Invoice.number,
    "shipment": Shipment.number,
    "tracking": Shipment.tracking,
    "purchase_order": PurchaseOrder.number,
}


def key(text: str) -> str:
    """A number without spelling: upper case letters and digits."""
    return re.sub(r"[^A-Z0-9]", "", text.upper())


def _key_of(column: InstrumentedAttribute[Any]) -> ColumnElement[str]:
    return func.regexp_replace(func.upper(column), "[^A-Z0-9]", "", "g")


def shapes(session: Session) -> dict[str, list[str]]:
    """The shapes that our numbers have, by kind, digits written 9: ['SO-99999']. Rare shapes are left out."""
    found: dict[str, list[str]] = {}
    for kind, column in {**KINDS, "sku": Item.sku}.items():
        shape = func.regexp_replace(column, "[0-9]", "9", "g")
        query = select(shape, func.count()).where(column.is_not(None)).group_by(shape).order_by(func.count().desc())
        found[kind] = [text for text, _ in session.execute(query.limit(12)) if re.search(r"9{2,}", text)]
    return found


@dataclass(frozen=True)
class Hit:
    """A number of ours: what it is, as stored, and the order and party it belongs to."""

    kind: str
    value: str
    order: str | None
    party: str | None


def resolve(session: Session, keys: Iterable[str]) -> dict[str, list[Hit]]:
    """What each key is, among all our numbers."""
    wanted = sorted(set(keys))
    if not wanted:
        return {}
    hits: dict[str, list[Hit]] = {k: [] for k in wanted}
    for kind, query in _queries(wanted).items():
        for spelled, value, order, party in session.execute(query):
            hits[spelled].append(Hit(kind, value, order, party))
    return hits


def _queries(wanted: list[str]) -> dict[str, Any]:
    so, cpo = _key_of(SalesOrder.number), _key_of(SalesOrder.customer_po)
    inv, shp, trk, po = (_key_of(KINDS[k]) for k in ("invoice", "shipment", "tracking", "purchase_order"))
    order, customer = SalesOrder.number, SalesOrder.customer
    return {
        "sales_order": select(so, order, order, customer).where(so.in_(wanted)),
        "customer_po": select(cpo, SalesOrder.customer_po, order, customer)
        .where(cpo.in_(wanted))
        .order_by(SalesOrder.ordered_at.desc()),
        "invoice": select(inv, Invoice.number, order, customer)
        .join(SalesOrder, order == Invoice.order_number)
        .where(inv.in_(wanted)),
        "shipment": select(shp, Shipment.number, order, customer)
        .join(SalesOrder, order == Shipment.order_number)
        .where(shp.in_(wanted)),
        "tracking": select(trk, Shipment.tracking, order, customer)
        .join(SalesOrder, order == Shipment.order_number)
        .where(trk.in_(wanted)),
        "purchase_order": select(po, PurchaseOrder.number, null(), PurchaseOrder.supplier).where(po.in_(wanted)),
    }


@dataclass(frozen=True)
class OrderCard:
    """An order of the sender as linking sees it. `state`: open, shipped (on its way), delivered, cancelled."""

    number: str
    customer_po: str | None
    state: str
    ordered_at: Any
    requested_date: Any
    delivered_at: Any
    lines: tuple[tuple[int, str, str, Any, str], ...]  # line, sku, item name, quantity, uom


def orders_of(session: Session, customer: str, now: Any) -> list[OrderCard]:
    """All orders of a customer, newest first."""
    orders = list(
        session.scalars(
            select(SalesOrder).where(SalesOrder.customer == customer).order_by(SalesOrder.ordered_at.desc())
        )
    )
    numbers = [o.number for o in orders]
    lines: dict[str, list[Any]] = {n: [] for n in numbers}
    query = (
        select(OrderLine, Item.name).join(Item, Item.sku == OrderLine.sku).where(OrderLine.order_number.in_(numbers))
    )
    for line, name in session.execute(query.order_by(OrderLine.order_number, OrderLine.line)):
        lines[line.order_number].append((line.line, line.sku, name, line.quantity_ordered, line.uom))
    shipped: dict[str, list[Shipment]] = {n: [] for n in numbers}
    for shipment in session.scalars(select(Shipment).where(Shipment.order_number.in_(numbers))):
        shipped[shipment.order_number].append(shipment)
    return [
        OrderCard(
            o.number,
            o.customer_po,
            state_of(o, shipped[o.number], now),
            o.ordered_at,
            o.requested_date,
            _delivered(shipped[o.number]),
            tuple(lines[o.number]),
        )
        for o in orders
    ]


def _delivered(shipments: list[Shipment]) -> Any:
    return max((s.delivered_at for s in shipments if s.delivered_at), default=None)


def shipments_of(session: Session, number: str) -> list[Shipment]:
    """Shipments of an order, oldest first."""
    return list(session.scalars(select(Shipment).where(Shipment.order_number == number).order_by(Shipment.shipped_at)))


def state_of(order: SalesOrder, shipments: list[Shipment], now: Any) -> str:
    """open, shipped (on its way), delivered or cancelled, as of `now`."""
    if order.status == "cancelled":
        return "cancelled"
    if shipments:
        arrived = all(s.delivered_at is not None and s.delivered_at <= now for s in shipments)
        return "delivered" if arrived else "shipped"
    return "delivered" if order.status in ("shipped", "invoiced", "closed") else "open"
