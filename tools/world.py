"""Query tools: what the agent may know of the world, each in a short read-only transaction."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from erp_core import clock
from erp_core.commands import Command
from erp_core.db import Session
from erp_core.errors import NotFound
from erp_core.policy import Policy
from erp_core.queries import (
    billing,
    catalog,
    chats,
    desk,
    evidence,
    models,
    policies,
    purchasing,
    references,
    sales,
    spending,
    supply,
)
from erp_core.queries.references import Hit, OrderCard, Sender
from erp_core.queries.subjects import subject_of, versions
from erp_core.rules import desk as desk_rules
from erp_core.rules import queues as queue_rules
from erp_core.rules.catalog import price_for, to_base
from erp_core.tables.billing import Invoice
from erp_core.tables.catalog import Item
from erp_core.tables.chat import Chat
from erp_core.tables.desk import Message
from erp_core.tables.fulfilment import Shipment
from erp_core.tables.parties import Customer, Supplier
from erp_core.tables.purchasing import PurchaseOrder
from erp_core.tables.sales import OrderLine
from erp_core.values import HoldReason, plain
from ml import reader
from ml.reader import Reader
from tools.registry import query


@dataclass(frozen=True)
class World:
    """What changes so rarely that a minute-old copy serves: shapes of our numbers, known domains, colleagues."""

    shapes: dict[str, list[str]]
    domains: dict[str, str]
    colleagues: dict[str, str]
    skus: dict[str, str]
    names: dict[str, str]
    read_at: float


_cached: list[World] = []
FRESH_SECONDS = 60.0


def world() -> World:
    """The slow facts, read again when they are a minute old."""
    if not _cached or time.monotonic() - _cached[0].read_at > FRESH_SECONDS:
        _cached[:] = [_read_world()]
    return _cached[0]


def forget_world() -> None:
    """Read the slow facts anew at the next use."""
    _cached.clear()


@query
def _read_world(session: Session) -> World:
    """Shapes of numbers, known mail domains, colleagues and item numbers."""
    colleagues = {user.name: user.email for user, _ in desk.people(session)}
    names = catalog.item_names(session)
    skus = {references.key(sku): sku for sku in names}
    return World(
        references.shapes(session), references.known_domains(session), colleagues, skus, names, time.monotonic()
    )


@query
def now(session: Session) -> datetime:
    """The installation's present moment."""
    return clock.now(session)


@dataclass(frozen=True)
class SenderFacts:
    """Who writes, and what he may know: his own orders."""

    sender: Sender
    name: str | None
    country: str
    status: str | None
    orders: list[OrderCard]
    credit: dict[str, str]


@query
def sender_facts(session: Session, address: str, moment: datetime) -> SenderFacts:
    """Customer or supplier of an address, with the customer's orders and credit."""
    found = references.sender(session, address)
    customer = session.get(Customer, found.customer) if found.customer else None
    if customer is None:
        return SenderFacts(found, None, "US", None, [], {})
    exposure = billing.exposure(session, customer.code, moment.date())
    credit = {"exposure": str(exposure.total), "limit": str(customer.credit_limit), "currency": customer.currency}
    orders = references.orders_of(session, customer.code, moment)
    return SenderFacts(found, customer.name, customer.country, customer.status, orders, credit)


@query
def resolve(session: Session, keys: Iterable[str]) -> dict[str, list[Hit]]:
    """What numbers belong to."""
    return references.resolve(session, keys)


@query
def others_documents(session: Session, text: str, customer: str | None, supplier: str | None) -> list[str]:
    """Documents that a text names and that belong to neither of the two."""
    return references.strangers(session, text, customer, supplier)


@query
def items(session: Session, skus: Iterable[str]) -> dict[str, Item]:
    """Items by number."""
    return catalog.items(session, skus)


@query
def case_input(session: Session, number: int) -> dict[str, Any]:
    """What a run starts from: the case, its latest inbound message as parsed, and the last instruction."""
    case = desk.case(session, number)
    latest = desk.latest_mail(session, number)
    customer = session.get(Customer, case.customer) if case.customer else None
    asked = desk.last_written(session, number) if case.kind != "mail" else None
    return {
        "kind": case.kind,
        "order": case.order_number,
        "customer": case.customer,
        "customer_name": customer.name if customer else None,
        "supplier": case.supplier,
        "queue": case.queue,
        "priority": case.priority,
        "details": case.details,
        "at_stake": str(case.at_stake) if case.at_stake is not None else None,
        "late": case.breached_at is not None,
        "asked_on": asked.date().isoformat() if asked else None,
        "instruction": (case.instruction or {}).get("text"),
        "machine": latest.machine if latest else False,
        "parsed": latest.parsed if latest else None,
        "received_at": latest.received_at.isoformat() if latest else case.opened_at.isoformat(),
    }


@query
def order_facts(session: Session, number: str, moment: datetime) -> dict[str, Any]:
    """An order with lines, holds, shipments, invoices, stock at its warehouse and elsewhere, and inbound goods."""
    order = sales.order(session, number)
    snapshot = sales.snapshot_of(session, order)
    shipments = references.shipments_of(session, number)
    picture = catalog.stock_picture(session, {line.sku for line in order.lines})
    lines = [_line(line, order.warehouse, picture, moment) for line in order.lines]
    return {
        "number": order.number,
        "version": order.version,
        "customer": order.customer,
        "customer_po": order.customer_po,
        "warehouse": order.warehouse,
        "ordered_at": order.ordered_at.isoformat(),
        "state": references.state_of(order.status, [s.delivered_at for s in shipments], moment),
        "status": snapshot["status"],
        "requested_date": snapshot["requested_date"],
        "promised_date": snapshot["promised_date"],
        "total": snapshot["total"],
        "holds": snapshot["holds"],
        "lines": lines,
        "shipments": [_shipment(s, moment) for s in shipments],
        "invoices": [_invoice(i) for i in billing.invoices_of_orders(session, [number])],
    }


def _line(line: OrderLine, warehouse: str, picture: catalog.StockPicture, moment: datetime) -> dict[str, Any]:
    free, short = picture.free[line.sku], sales.backordered(line)
    here = free.get(warehouse, Decimal(0))
    day = picture.promise(line.sku, warehouse, short, moment.date())
    return {
        "line": line.line,
        "sku": line.sku,
        "name": picture.names.get(line.sku, ""),
        "quantity": plain(line.quantity_ordered),
        "uom": line.uom,
        "price": str(line.unit_price),
        "base": line.quantity_ordered == line.quantity_base,
        "backordered": plain(short),
        "free_here": plain(here),
        "free_elsewhere": {w: plain(q) for w, q in free.items() if w != warehouse and q > 0},
        "promise": day.isoformat() if day and short > 0 else None,
        "substitutes": picture.substitutes[line.sku],
    }


def _shipment(shipment: Shipment, moment: datetime) -> dict[str, Any]:
    delivered = shipment.delivered_at if shipment.delivered_at and shipment.delivered_at <= moment else None
    return {
        "number": shipment.number,
        "shipped_at": shipment.shipped_at.date().isoformat(),
        "carrier": shipment.carrier,
        "tracking": shipment.tracking,
        "delivered_at": delivered.date().isoformat() if delivered else None,
    }


def _invoice(invoice: Invoice) -> dict[str, Any]:
    return {
        "number": invoice.number,
        "date": invoice.invoiced_at.isoformat(),
        "amount": str(invoice.amount),
        "paid_at": invoice.paid_at.isoformat() if invoice.paid_at else None,
    }


@query
def availability(
    session: Session, sku: str, customer: str | None, quantity: Decimal, on: date, uom: str | None = None
) -> dict[str, Any]:
    """Free stock by warehouse, next inbound, and the price for this customer and quantity (in the base unit, unless another is said)."""
    item = catalog.item_facts(session, sku)
    if item is None:
        return {}
    agreed = catalog.agreements(session, customer, sku) if customer else []
    inbound = sorted(
        (i for listed in supply.inbound(session, [sku]).values() for i in listed),
        key=lambda i: (i.expected is None, i.expected),
    )
    return {
        "sku": sku,
        "name": item.name,
        "uom": item.uom,
        "status": item.status,
        "free": {w: plain(q) for w, q in catalog.free_stock(session, sku).items()},
        "inbound": [
            {
                "order": i.purchase_order,
                "expected": i.expected.isoformat() if i.expected else None,
                "quantity": plain(i.quantity),
            }
            for i in inbound[:3]
        ],
        "price": str(price_for(item, agreed, (to_base(quantity, uom, item) if uom else None) or quantity, on)),
        "list_price": str(item.list_price),
        "substitutes": [s.substitute_sku for s in catalog.substitutes(session, sku)],
    }


@query
def broken(session: Session, order: str, reason: HoldReason) -> list[dict[str, Any]]:
    """Why an order is held for a reason: each problem with its line, code and facts."""
    return sales.broken(session, order, reason)


@query
def standing(session: Session, customer: str) -> dict[str, Any]:
    """How a customer stands: exposure and limit, what is overdue (past the days of grace), open invoices, and how those of the last year were paid."""
    today = clock.now(session).date()
    grace = policies.active(session).credit.grace_days
    open_ = evidence.open_invoices(session, customer, today)
    paid = evidence.payment_behaviour(session, customer, today)
    overdue = sum((i.amount for i in open_ if i.due + timedelta(days=grace) < today), Decimal(0))
    shown = [{"number": i.number, "due": i.due.isoformat(), "amount": i.amount} for i in open_[:10] if i.amount > 0]
    known, exposure = session.get_one(Customer, customer), billing.exposure(session, customer, today)
    limits = {
        "exposure": exposure.total,
        "open_orders": exposure.open_orders,
        "limit": known.credit_limit,
        "currency": known.currency,
    }
    return {**limits, "overdue": overdue, "open": shown, "paid": paid.invoices, "days_late": Decimal(paid.days_late)}


@query
def margin_at(session: Session, sku: str, price: Decimal) -> Decimal:
    """What is left of a price per base unit after the unit cost, in percent of the price."""
    item = catalog.item_facts(session, sku)
    return (price - item.unit_cost) / price * 100 if item is not None and price else Decimal(-100)


@query
def takes_parts(session: Session, customer: str) -> bool:
    """Whether a customer takes part deliveries."""
    return session.get_one(Customer, customer).ships_partial


@query
def asking(session: Session, customer: str, kind: str, but: int) -> tuple[int, bool] | None:
    """Another open case of a kind in which the customer was written to (true), or is about to be; None: there is none."""
    return desk.asking(session, customer, kind, but)


@query
def price_of(session: Session, customer: str, sku: str, quantity: Decimal, on: date) -> tuple[Decimal, str]:
    """A customer's price for an item, and where it comes from: agreed, tier or list."""
    item = catalog.item_facts(session, sku)
    if item is None:
        raise NotFound(f"There is no item {sku}.")
    found = catalog.price_found(session, customer, item, quantity, on)
    return found.unit_price, found.source


@query
def ways_to_supply(session: Session, sku: str, warehouse: str, missing: Decimal) -> list[dict[str, str]]:
    """What could be done about missing goods, cheapest first: kind, quantity, cost, and the facts of each."""
    active, today = policies.active(session), clock.now(session).date()
    return [
        {"kind": o.kind, "quantity": plain(o.quantity), "cost": str(o.cost), **o.facts}
        for o in supply.options(session, sku, warehouse, missing, active, today)
    ]


@query
def buying(session: Session, skus: Sequence[str], warehouse: str) -> dict[int, list[str]]:
    """Open cases that propose to buy some of these items for a warehouse: case → items."""
    return desk.buying(session, skus, warehouse)


@query
def free_substitutes(
    session: Session, sku: str, warehouse: str, quantity: Decimal, *, asking: bool = False
) -> list[str]:
    """Items that may go out in place of another without asking the customer (or only when `asking`), and of which enough is free at the warehouse."""
    allowed = [s.substitute_sku for s in catalog.substitutes(session, sku) if s.customer_approval_required == asking]
    return [one for one in allowed if catalog.free_stock(session, one).get(warehouse, Decimal(0)) >= quantity]


@query
def purchase_order(session: Session, number: str) -> dict[str, Any] | None:
    """A purchase order with its lines."""
    found = session.get(PurchaseOrder, number)
    if found is None:
        return None
    return {
        "number": number,
        "version": found.version,
        "warehouse": found.warehouse,
        "supplier": found.supplier,
        "expected_date": found.expected_date.isoformat() if found.expected_date else None,
        "status": found.status,
        "lines": [
            {
                "line": x.line,
                "sku": x.sku,
                "quantity": plain(x.quantity),
                "received": plain(x.quantity_received + x.quantity_damaged),
                "unit_cost": str(x.unit_cost),
            }
            for x in found.lines
        ],
    }


@query
def expected_from(session: Session, supplier: str) -> list[str]:
    """A supplier's purchase orders that are still expected, a line each: number, expected day, items."""
    names = catalog.item_names(session)
    told = []
    for found in purchasing.open_orders_of(session, supplier):
        lines = "; ".join(f"{x.line} {x.sku} {names.get(x.sku, '')}, {plain(x.quantity)}" for x in found.lines[:30])
        told.append(f"- {found.number}, expected {found.expected_date or 'on no known day'}: {lines}")
    return told


@query
def change_impact(session: Session, what: supply.WhatIf, moment: datetime) -> dict[str, Any]:
    """Whom it would hurt if a purchase order came later or short, and what could be done about the item that hurts most."""
    active, found = policies.active(session), session.get_one(PurchaseOrder, what.purchase_order)
    skus, today = [x.sku for x in found.lines], moment.date()
    was, then = (supply.coverage(session, skus, found.warehouse, active, today, instead) for instead in (None, what))
    hurt = supply.affected(session, was, then)
    choices = []
    if hurt:
        worst = hurt[0].sku
        missing = sum((a.lacking for a in hurt if a.sku == worst), Decimal(0))
        choices = supply.options(session, worst, found.warehouse, missing, active, today, found.supplier)
    return {
        "orders": [
            {
                "order": a.order,
                "customer": a.customer_name,
                "sku": a.sku,
                "value": str(a.value),
                "before": str(a.before),
                "after": str(a.after) if a.after else None,
                "breaks_promise": a.breaks_promise,
            }
            for a in hurt[:20]
        ],
        "orders_hurt": len({a.order for a in hurt}),
        "value": str(supply.worth(hurt)),
        "options": [f"{o.what}, costs {o.cost} more" for o in choices[:4]],
    }


@query
def contact_of(session: Session, customer: str) -> dict[str, str] | None:
    """The first contact of a customer: who is told what happens to its orders."""
    found = desk.first_contact(session, customer)
    return {"name": found.name, "email": found.email} if found else None


@query
def supplier_mail(session: Session, supplier: str) -> str | None:
    """Where a supplier gets its mail."""
    found = session.get(Supplier, supplier)
    return found.email if found else None


@query
def line_needs(session: Session, number: str) -> dict[str, str]:
    """What each line of an order lacks, by line number, in base units."""
    return {str(x.line): plain(sales.backordered(x)) for x in sales.order(session, number).lines}


@query
def versions_of(session: Session, commands: list[Command]) -> dict[str, int]:
    """Versions of the sales and purchase orders and the bills that commands rest on, as they are now."""
    kept = ("sales_order:", "purchase_order:", "bill:")
    return {name: version for name, version in versions(session, commands).items() if name.startswith(kept)}


@query
def worked_from(session: Session, case: int, moment: datetime) -> datetime:
    """A moment, or the same time on the next day on which the firm of a case works."""
    calendar = desk.calendar_of(session, desk.case(session, case).entity)
    return queue_rules.worked_from(policies.active(session).calendars[calendar], moment)


@query
def policy_in_force(session: Session) -> Policy:
    """The numbers that the agent keeps to: those people activated."""
    return policies.active(session)


@query
def mail_reader(session: Session) -> Reader:
    """The mail reader in use."""
    return reader.using(session)


@query
def prompt_in_use(session: Session, name: str) -> str | None:
    """The text of a prompt that people promoted; None while the shipped one is in use."""
    found = models.in_use(session, name, clock.now(session))
    return found.content if found else None


@query
def prompts_in_use(session: Session) -> dict[str, str]:
    """The texts of all prompts that people promoted, by name; the shipped ones are in use for the rest."""
    used = models.all_in_use(session, clock.now(session))
    return {
        name: v.content for (name, use), v in used.items() if use == "champion" and v.kind == "prompt" and v.content
    }


@query
def our_name(session: Session) -> str:
    """What our firms are called."""
    return " and ".join(supply.entities(session).values())


@query
def model_in_use(session: Session, name: str) -> tuple[int, str] | None:
    """(version, SHA-256 of its file) of the model that is in use under a name."""
    found = models.in_use(session, name, clock.now(session))
    return (found.id, found.sha256) if found else None


@query
def budget_used_up(session: Session, case: int | None) -> str | None:
    """Which budget for language models is used up; None while all have something left."""
    now = clock.now(session)
    return spending.exhausted(session, case, policies.active(session, now), now)


@query
def firm_of(session: Session, customer: str) -> str:
    """The firm of ours that sells to a customer."""
    return session.get_one(Customer, customer).entity


@query
def chat(session: Session, number: int) -> tuple[Chat, Sequence[Message]]:
    """A chat and what was said in it."""
    return chats.for_agent(session, number)


@query
def address_of(session: Session, customer: str) -> str:
    """The mail address of a customer's first contact; empty when it has none."""
    found = desk.first_contact(session, customer)
    return found.email.lower() if found else ""


@query
def orders_of(session: Session, customer: str, moment: datetime) -> list[OrderCard]:
    """All orders of a customer, newest first."""
    return references.orders_of(session, customer, moment)


@query
def invoices_of(session: Session, customer: str, today: date) -> list[dict[str, Any]]:
    """A customer's invoices that are open or of the last 60 days, newest first."""
    currency = session.get_one(Customer, customer).currency
    return [
        {
            "number": i.number,
            "order": i.order_number,
            "date": i.invoiced_at.isoformat(),
            "amount": f"{i.amount:,}",
            "currency": currency,
            "paid": i.paid_at is not None and i.paid_at <= today,
        }
        for i in evidence.recent_invoices(session, customer, today - timedelta(days=60), 50)
    ]


@query
def currency_of(session: Session, customer: str) -> str:
    """What a customer pays in."""
    return session.get_one(Customer, customer).currency


@query
def asked_lately(session: Session, order: str) -> int:
    """How often people were asked about an order lately."""
    return desk.asked_lately(session, order)


@query
def signers(session: Session, commands: list[Command]) -> dict[str, Any]:
    """Which rules ask for a signature of these commands, and who could give it."""
    active = policies.active(session)
    subjects = [subject_of(session, command) for command in commands]
    rules: set[str] = set()
    able: dict[str, set[int]] = {}
    for user, person in desk.people(session, clock.now(session)):
        for position, subject in enumerate(subjects):
            ruling = desk_rules.authority(active, person, subject)
            if ruling.allowed:
                rules.update(ruling.rules)
                able.setdefault(user.email, set()).add(position)
    alone = sorted(email for email, covered in able.items() if len(covered) == len(subjects))
    second = [s.action for s in subjects if desk_rules.needs_second(active, s)]
    verdict = "needs_two_signatures" if second or not alone else "needs_approval"
    return {"verdict": verdict, "rules": sorted(rules), "may_sign": alone[:20], "policy": active.hash}


@query
def earlier_mail(session: Session, customer: str | None, order: str | None, case: int) -> list[dict[str, Any]]:
    """Other open cases about the same order, so that nobody decides one without knowing of the other."""
    return desk.other_open_cases(session, customer, order, case) if order else []


@query
def own_invoices(session: Session, customer: str, numbers: list[str], order: str | None) -> list[dict[str, Any]]:
    """Invoices of this customer: those named, else those of the order. Nobody else's."""
    found = billing.customer_invoices(session, customer, numbers)
    if not found and order:
        found = [i for i in billing.invoices_of_orders(session, [order])]
    return [_invoice(i) for i in found]


@query
def case_result(session: Session, number: int) -> dict[str, Any]:
    """What the agent made of a case the last time."""
    found = desk.case_file(session, number, for_agent=True)
    proposal = found.proposal
    return {
        "message_id": found.messages[0].message_id if found.messages else None,
        "read": found.finding.content["read"] if found.finding else None,
        "action": proposal.action if proposal else None,
        "queue": found.case.queue,
        "first_queue": found.finding.content["queue"] if found.finding else found.case.queue,
        "priority": found.case.priority,
        "proposal": {"id": proposal.id, "commands": proposal.commands, "policy": proposal.policy} if proposal else None,
    }


@query
def case_of_rest(session: Session, case: int) -> int | None:
    """The case that was opened for what the mail of a case asks besides."""
    return desk.case_about(session, "also_asked", f"case:{case}")
