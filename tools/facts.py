"""Facts for whoever plans: query tools whose docstrings and arguments are what a language model is told of them.

Each gives lines of fact with their source, of the party and order the case is about and nobody else's, at most so many rows. What is `internal` is
for our own people: a letter to a customer may not say it. Who calls binds the scope; a model names documents, never whose they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from erp_core.db import EVERY_FIRM, Session
from erp_core.errors import CountersignError, NotFound
from erp_core.queries import billing, catalog, evidence, memory, models, policies, purchasing, references, sales, supply
from erp_core.queries.memory import Near
from erp_core.tables.billing import Invoice
from erp_core.tables.parties import Customer
from erp_core.tables.purchasing import PurchaseOrder
from erp_core.values import HoldReason, OrderStatus, plain
from ml import embeddings
from tools.registry import query

MOST = 20


@dataclass(frozen=True)
class Fact:
    """One fact: where it comes from, what it says, and whether it stays with us."""

    source: str
    text: str
    internal: bool = False


@dataclass(frozen=True)
class Scope:
    """Whose facts may be seen: those of a case's customer or supplier, and of the firm of ours that it deals with."""

    case: int | None
    customer: str | None
    supplier: str | None
    moment: datetime
    firms: tuple[str, ...] = EVERY_FIRM


class OfOrder(BaseModel):
    """A sales order, by our number."""

    order: str


class OfItem(BaseModel):
    """An item, and how many of it."""

    sku: str
    quantity: str


class OfPurchase(BaseModel):
    """A purchase order, by our number."""

    purchase_order: str


class Nothing(BaseModel):
    """No arguments."""


class OfHold(BaseModel):
    """A reason of holds."""

    reason: HoldReason


def _order(session: Session, scope: Scope, number: str) -> Any:
    """The order, if it is the scope's. Raises NotFound, in the same words for one that is somebody else's."""
    try:
        found = sales.order(session, number)
    except NotFound:
        found = None
    if found is None or found.customer != scope.customer:
        raise NotFound(f"There is no order {number} of this customer.")
    return found


@query
def order(session: Session, scope: Scope, asked: OfOrder) -> list[Fact]:
    """One sales order: status, dates, holds, total, and each line with price and what is missing."""
    found = _order(session, scope, asked.order)
    shot = sales.snapshot_of(session, found)
    source = f"order {found.number}"
    facts = [
        Fact(
            source,
            f"{found.number}, PO {found.customer_po or 'none'}: {shot['status']}, ordered {found.ordered_at.date()}, total {shot['total']}",
        ),
        Fact(
            source,
            f"wanted {shot['requested_date'] or 'on no named day'}, promised {shot['promised_date'] or 'nothing'}",
        ),
    ]
    if shot["holds"]:
        facts.append(Fact(source, f"on hold: {', '.join(shot['holds'])}", internal=True))
    for line in found.lines[:MOST]:
        short, gone = (
            sales.backordered(line),
            f", {plain(line.quantity_shipped)} shipped" if line.quantity_shipped else "",
        )
        left = found.status in (OrderStatus.SHIPPED, OrderStatus.INVOICED, OrderStatus.CLOSED, OrderStatus.CANCELLED)
        missing = f"{gone}, {plain(short)} not covered yet" if short > 0 and not left else gone
        facts.append(
            Fact(
                source,
                f"line {line.line}: {plain(line.quantity_ordered)} {line.uom} {line.sku} at {line.unit_price.normalize():f}{missing}",
            )
        )
    return facts


@query
def exposure(session: Session, scope: Scope, asked: Nothing) -> list[Fact]:
    """What the customer owes and could owe, the limit, what is overdue by age, and how the customer has paid."""
    customer = session.get(Customer, scope.customer) if scope.customer else None
    if customer is None:
        return []
    today = scope.moment.date()
    owed, ageing = billing.exposure(session, customer.code, today), evidence.ageing(session, customer.code, today)
    facts = [
        Fact(
            "credit",
            f"exposure {owed.total:,} of a limit of {customer.credit_limit:,} {customer.currency}",
            internal=True,
        ),
        Fact("credit", f"unpaid invoices {owed.unpaid_invoices:,}, open orders {owed.open_orders:,}", internal=True),
    ]
    facts += [
        Fact("ageing", f"{a.invoices} invoice{'s' if a.invoices != 1 else ''}, {a.amount:,}, {a.words}", internal=True)
        for a in ageing
    ]
    paid = evidence.payment_behaviour(session, customer.code, today)
    if paid.invoices:
        facts.append(
            Fact(
                "payments",
                f"{paid.invoices} invoices paid in the last year, {paid.days_late:.0f} days after their due date on average",
                internal=True,
            )
        )
    return facts


@query
def availability(session: Session, scope: Scope, asked: OfItem) -> list[Fact]:
    """Free stock of an item by warehouse, what is on its way, and when a quantity could be promised."""
    item = catalog.item_facts(session, asked.sku)
    if item is None:
        raise NotFound(f"There is no item {asked.sku}.")
    quantity = Decimal(asked.quantity) if asked.quantity.replace(".", "", 1).isdigit() else Decimal(1)
    free = {w: q for w, q in catalog.free_stock(session, item.sku).items() if q > 0}
    source = f"stock {item.sku}"
    facts = [Fact(source, f"{plain(q)} {item.uom} free at {w}") for w, q in free.items()] or [
        Fact(source, f"none of {item.sku} is free")
    ]
    for place, listed in supply.inbound(session, [item.sku]).items():
        facts += [
            Fact(source, f"{plain(i.quantity)} on the way to {place[1]}, {_expected(i.expected, scope.moment.date())}")
            for i in listed[:3]
        ]
    picture = catalog.stock_picture(session, {item.sku})
    for warehouse in sorted(free)[:3] or sorted(picture.free[item.sku])[:1]:
        day = picture.promise_new(item.sku, warehouse, quantity, scope.moment.date())
        if free.get(warehouse, Decimal(0)) < quantity and day:
            facts.append(Fact(source, f"{plain(quantity)} at {warehouse} are covered on {day}"))
    return facts


def _expected(day: date | None, today: date) -> str:
    return f"expected {day or 'no known day'}{', overdue' if day and day < today else ''}"


@query
def price(session: Session, scope: Scope, asked: OfItem) -> list[Fact]:
    """How this customer's price for an item comes about: agreement, its dates and quantity, list price, cost and margin."""
    item = catalog.item_facts(session, asked.sku)
    if item is None or scope.customer is None:
        raise NotFound(f"There is no price of {asked.sku} for this customer.")
    quantity = Decimal(asked.quantity) if asked.quantity.replace(".", "", 1).isdigit() else Decimal(1)
    found = catalog.price_found(session, scope.customer, item, quantity, scope.moment.date())
    source = f"price {item.sku}"
    margin = (found.unit_price - item.unit_cost) / found.unit_price * 100 if found.unit_price else Decimal(0)
    return [
        Fact(
            source,
            f"{found.unit_price.normalize():f} each for {plain(quantity)} {item.sku}, by {found.source}; list price {item.list_price.normalize():f}",
        ),
        Fact(source, f"unit cost {item.unit_cost.normalize():f}, margin {margin:.1f} percent", internal=True),
    ]


@query
def substitutes(session: Session, scope: Scope, asked: OfItem) -> list[Fact]:
    """Items that may go out in place of another: free stock, and whether the customer must be asked first."""
    found = []
    for one in catalog.substitutes(session, asked.sku)[:5]:
        free = sum(catalog.free_stock(session, one.substitute_sku).values(), Decimal(0))
        asks = "only with the customer's word" if one.customer_approval_required else "without asking"
        found.append(
            Fact(
                f"substitute {one.substitute_sku}",
                f"{one.substitute_sku} may replace {asked.sku} {asks}, {plain(free)} free",
            )
        )
    return found or [Fact(f"substitute {asked.sku}", f"nothing may replace {asked.sku}")]


@query
def ways_to_supply(session: Session, scope: Scope, asked: OfOrder) -> list[Fact]:
    """For what an order lacks: transfers, other suppliers, expediting and substitutes, each with cost and day, and who else waits for it."""
    found = _order(session, scope, asked.order)
    policy, facts = policies.active(session), []
    for line in [x for x in found.lines if sales.backordered(x) > 0][:5]:
        lacking = sales.backordered(line)
        for way in supply.options(session, line.sku, found.warehouse, lacking, policy, scope.moment.date(), None)[:4]:
            day = f", there on {way.day}" if way.day else ""
            facts.append(Fact("option", f"{way.what}, costs {way.cost} more{day}", internal=True))
        others = evidence.others_waiting(session, line.sku, found.warehouse, found.number)
        facts.append(
            Fact(f"stock {line.sku}", f"{others} other orders wait for {line.sku} at {found.warehouse}", internal=True)
        )
    return facts


def _purchase(session: Session, scope: Scope, number: str) -> PurchaseOrder:
    """The purchase order, if the case is no customer's and no other supplier's. Raises NotFound."""
    found = session.get(PurchaseOrder, number)
    if found is None or scope.customer or (scope.supplier and found.supplier != scope.supplier):
        raise NotFound(f"There is no purchase order {number} here.")
    return found


@query
def purchase(session: Session, scope: Scope, asked: OfPurchase) -> list[Fact]:
    """A purchase order of ours: status, expected day, lines, and what was received of it."""
    found = _purchase(session, scope, asked.purchase_order)
    source = f"purchase order {found.number}"
    facts = [
        Fact(
            source,
            f"{found.number} to {found.supplier}: {found.status}, expected {found.expected_date or 'on no known day'}",
        )
    ]
    facts += [
        Fact(
            source,
            f"line {x.line}: {plain(x.quantity)} {x.sku} at {x.unit_cost.normalize():f}, {plain(x.quantity_received)} received, {plain(x.quantity_damaged)} damaged",
        )
        for x in found.lines[:MOST]
    ]
    facts += [
        Fact(f"receipt {r.number}", f"receipt {r.number} on {r.received_at.date()}")
        for r in purchasing.receipts(session, found.number)[:5]
    ]
    return facts


@query
def match(session: Session, scope: Scope, asked: OfPurchase) -> list[Fact]:
    """How supplier invoices of a purchase order match with order and receipts."""
    found = _purchase(session, scope, asked.purchase_order)
    bills = purchasing.bills(session, found.number)
    return [
        Fact(
            f"invoice {b.number}",
            f"supplier invoice {b.number} of {b.invoiced_at}: {b.amount}, {b.status}",
            internal=True,
        )
        for b in bills[:MOST]
    ]


@query
def invoices(session: Session, scope: Scope, asked: Nothing) -> list[Fact]:
    """The customer's invoices that are open or of the last 60 days, with what is paid."""
    if scope.customer is None:
        return []
    rows: Sequence[Invoice] = evidence.recent_invoices(
        session, scope.customer, scope.moment.date() - timedelta(days=60), MOST
    )
    return [
        Fact(
            f"invoice {i.number}",
            f"invoice {i.number} of {i.invoiced_at} for {i.order_number}: {i.amount}, {f'paid {i.paid_at}' if i.paid_at else 'open'}",
        )
        for i in rows
    ]


@query
def shipments(session: Session, scope: Scope, asked: OfOrder) -> list[Fact]:
    """Shipments of an order: when they left, with whom, tracking, when they came or are expected."""
    found, facts = _order(session, scope, asked.order), []
    for s in references.shipments_of(session, found.number)[:MOST]:
        came = (
            f"delivered {s.delivered_at.date()}"
            if s.delivered_at and s.delivered_at <= scope.moment
            else "not delivered yet"
        )
        late = f", the carrier expects {s.expected_at.date()}" if s.expected_at and not s.delivered_at else ""
        facts.append(
            Fact(
                f"shipment {s.number}",
                f"{s.number} left {s.shipped_at.date()} with {s.carrier or 'a carrier'}, tracking {s.tracking or 'none'}, {came}{late}",
            )
        )
    return facts or [Fact(f"order {found.number}", f"nothing of {found.number} has left yet")]


@query
def hold_policy(session: Session, scope: Scope, asked: OfHold) -> list[Fact]:
    """What policy says of a kind of hold: who looks at it, what it blocks, how long a release lasts, and what people do step by step."""
    policy = policies.active(session)
    hold = policy.holds[asked.reason]
    facts = [
        Fact(
            "policy",
            f"{asked.reason} holds block {', '.join(hold.blocks)}; queue {hold.queue}; {hold.rule}",
            internal=True,
        )
    ]
    return facts + [Fact("playbook", step, internal=True) for step in policy.playbooks.get(f"hold_{asked.reason}", [])]


@query
def predictions(session: Session, scope: Scope, asked: OfOrder) -> list[Fact]:
    """What the models expect of an order: held, late, unpaid, with their main reason."""
    found = _order(session, scope, asked.order)
    said = models.said_of(session, f"sales_order:{found.number}")
    return [
        Fact(
            f"model {s.version.id}",
            f"{s.question.replace('_', ' ')}: {s.prediction.value:.0%}" + _because(s.prediction.reasons),
            internal=True,
        )
        for s in said[:MOST]
        if s.prediction.value <= 1
    ]


def _because(reasons: Sequence[Any]) -> str:
    return f", {reasons[0]['text']}" if reasons else ""


@query
def history(session: Session, scope: Scope, asked: Nothing) -> list[Fact]:
    """Other cases of the same customer or supplier in the last 90 days, and how they ended."""
    since = scope.moment - timedelta(days=90)
    rows = evidence.cases_of_party(session, scope.customer, scope.supplier, since, scope.case, MOST)
    return [
        Fact(
            f"case {c.id}",
            f"case {c.id}, {c.kind.replace('_', ' ')}, {c.opened_at.date()}: {c.status}{f', {c.root_cause}' if c.root_cause else ''}",
            internal=True,
        )
        for c in rows
    ]


class Words(BaseModel):
    """What is looked for, in a few words."""

    about: str


@query
def similar_cases(session: Session, scope: Scope, asked: Words) -> list[Fact]:
    """Cases like this one that are over: what was done, whether a person amended it, and whether it held."""
    found = _near(session, asked.about, ("case",), scope.case)
    ends = memory.ended(session, [n.case for n in found if n.case])
    facts = []
    for near in found:
        end = ends.get(near.case or 0)
        if end is not None:
            done = f"{end.action.replace('_', ' ')}{', amended by a person' if end.amended else ''}"
            held = "it held" if end.held else "it came back"
            text = f"case {end.case}, {end.kind.replace('_', ' ')}, over since {end.resolved_at.date()}: {done}; {held}"
            facts.append(Fact(f"case {end.case}", text, internal=True))
    return facts


@query
def policy_text(session: Session, scope: Scope, asked: Words) -> list[Fact]:
    """What our policy and playbooks say about something."""
    return [
        Fact(near.kind, near.text, internal=True) for near in _near(session, asked.about, ("policy", "playbook"), None)
    ]


def _near(session: Session, about: str, kinds: Sequence[str], but: int | None) -> list[Near]:
    if not memory.any_at_all(session):
        return []
    try:
        embedder = embeddings.current()
        vector = embedder.vectors([about])[0]
    except CountersignError:
        return []  # a server for vectors that is down hides a hint, no more
    return [n for n in memory.nearest(session, vector, embedder.name, kinds, 5, but) if n.likeness >= memory.LIKE]


@dataclass(frozen=True)
class Offered:
    """A tool as it is offered: its name, the form of its arguments, what it is for, and itself."""

    name: str
    form: type[BaseModel]
    about: str
    run: Callable[[Scope, Any], list[Fact]]


def offered() -> list[Offered]:
    """All of them. The docstring of each is what a model is told."""
    forms: list[tuple[Any, type[BaseModel]]] = [
        (order, OfOrder), (exposure, Nothing), (availability, OfItem), (price, OfItem), (substitutes, OfItem), (ways_to_supply, OfOrder),
        (purchase, OfPurchase), (match, OfPurchase), (invoices, Nothing), (shipments, OfOrder), (hold_policy, OfHold), (predictions, OfOrder),
        (history, Nothing), (similar_cases, Words), (policy_text, Words),
    ]  # fmt: skip
    return [Offered(tool.__name__, form, tool.__doc__ or "", tool) for tool, form in forms]
