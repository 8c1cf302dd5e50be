"""Who a sender is, and what the numbers in a mail belong to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, text
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


def contact_at(session: Session, address: str) -> Contact | None:
    """Whose address this is (lower case); of several customers' the one that was entered first."""
    return session.scalars(select(Contact).where(Contact.email_key == address).order_by(Contact.id)).first()


def sender(session: Session, address: str) -> Sender:
    """The customer or supplier that an address or its domain belongs to."""
    domain = address.rpartition("@")[2]
    contact = contact_at(session, address)
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
    for spelled, kind, value, order, party, _ in session.execute(_RESOLVE, {"keys": wanted}):
        hits[spelled].append(Hit(kind, value, order, party))
    return hits


def _resolving(kind: str, table: str, column: str, joined: bool) -> str:
    """Rows of one kind."""
    join = " JOIN sales_order o ON o.number = t.order_number" if joined else ""
    orders = "o.number, o.customer, o.ordered_at" if joined else "t.number, t.customer, t.ordered_at"
    if kind == "purchase_order":
        orders = "NULL, t.supplier, NULL"
    return (
        f"SELECT t.{column}_key, '{kind}', t.{column}, {orders} FROM {table} t{join} WHERE t.{column}_key = ANY(:keys)"
    )


_RESOLVE = text(
    "SELECT * FROM ("
    + " UNION ALL ".join(
        [
            _resolving("sales_order", "sales_order", "number", joined=False),
            _resolving("customer_po", "sales_order", "customer_po", joined=False),
            _resolving("invoice", "invoice", "number", joined=True),
            _resolving("shipment", "shipment", "number", joined=True),
            _resolving("tracking", "shipment", "tracking", joined=True),
            _resolving("purchase_order", "purchase_order", "number", joined=False),
        ]
    )
    + ") AS found (spelled, kind, value, order_number, party, ordered_at) ORDER BY ordered_at DESC NULLS LAST, kind, value"
)


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

    def in_words(self) -> str:
        """The order on one line, as a reader is told of it."""
        lines = "; ".join(
            f"{line} {sku} {name}, {quantity.normalize():f} {uom}" for line, sku, name, quantity, uom in self.lines[:30]
        )
        wanted = f", wanted {self.requested_date.isoformat()}" if self.requested_date else ""
        ordered = f"{self.state}, ordered {self.ordered_at.date()}{wanted}"
        return f"{self.number}, PO {self.customer_po or 'none'}, {ordered}: {lines}"


def orders_of(session: Session, customer: str, now: Any) -> list[OrderCard]:
    """All orders of a customer, newest first."""
    query = select(
        SalesOrder.number, SalesOrder.customer_po, SalesOrder.status, SalesOrder.ordered_at, SalesOrder.requested_date
    ).where(SalesOrder.customer == customer)
    orders = list(session.execute(query.order_by(SalesOrder.ordered_at.desc())))
    numbers = [o.number for o in orders]
    lines: dict[str, list[Any]] = {n: [] for n in numbers}
    of_line = OrderLine.line, OrderLine.sku, Item.name, OrderLine.quantity_ordered, OrderLine.uom
    details = select(OrderLine.order_number, *of_line).join(Item, Item.sku == OrderLine.sku)
    details = details.where(OrderLine.order_number.in_(numbers)).order_by(OrderLine.order_number, OrderLine.line)
    for number, *line in session.execute(details):
        lines[number].append(tuple(line))
    shipped: dict[str, list[Any]] = {n: [] for n in numbers}
    for shipment in session.execute(
        select(Shipment.order_number, Shipment.delivered_at).where(Shipment.order_number.in_(numbers))
    ):
        shipped[shipment.order_number].append(shipment)
    return [
        OrderCard(
            o.number,
            o.customer_po,
            state_of(o.status, [s.delivered_at for s in shipped[o.number]], now),
            o.ordered_at,
            o.requested_date,
            max((s.delivered_at for s in shipped[o.number] if s.delivered_at), default=None),
            tuple(lines[o.number]),
        )
        for o in orders
    ]


def shipments_of(session: Session, number: str) -> list[Shipment]:
    """Shipments of an order, oldest first."""
    return list(session.scalars(select(Shipment).where(Shipment.order_number == number).order_by(Shipment.shipped_at)))


def state_of(status: str, delivered: Sequence[Any], now: Any) -> str:
    """open, shipped (on its way), delivered or cancelled, as of `now`; `delivered` has a moment or None a shipment."""
    if status == "cancelled":
        return "cancelled"
    if delivered:
        return "delivered" if all(moment is not None and moment <= now for moment in delivered) else "shipped"
    return "delivered" if status in ("shipped", "invoiced", "closed") else "open"


WORD = re.compile(r"(?=[\w/-]*\d)[A-Za-z0-9]+(?:[-/][A-Za-z0-9]+)*")
SHORTEST = 5  # letters of a document's number; shorter ones are quantities


def strangers(session: Session, said: str, *own: str | None) -> list[str]:
    """Documents that a text names and that belong to none of these parties."""
    found = resolve(session, {k for k in map(key, WORD.findall(said)) if len(k) >= SHORTEST})
    parties = {party for party in own if party}
    return sorted(
        {h.value for hits in found.values() for h in hits if h.party and not parties & {x.party for x in hits}}
    )
