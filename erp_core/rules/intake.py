"""Taking in an order: price it, bind stock, validate, and say how far it goes. Values in, values out.

A `Picture` is what was read for a batch of orders; `decide` looks at one draft in it, `remember` writes the result into the picture,
so that the next draft of the batch sees what it would see in the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from erp_core.errors import Problem, RuleViolation
from erp_core.policy import Policy
from erp_core.rules import sales
from erp_core.rules.catalog import ItemFacts, find_price, to_base
from erp_core.rules.credit import CreditFacts
from erp_core.rules.duplicates import quantities, twins
from erp_core.rules.picture import ZERO, Account, CustomerFacts, Draft, DraftLine, Earlier, Picture, Usual
from erp_core.rules.sales import LineFacts, OrderFacts, Violation
from erp_core.values import HoldReason, OrderStatus, money

PRICE_PLACES = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class DecidedLine:
    """A line as it will stand. Price per `uom`; quantities but `quantity` in base units."""

    line: int
    sku: str
    quantity: Decimal
    uom: str
    quantity_base: Decimal
    unit_price: Decimal
    requested_date: date | None
    quantity_allocated: Decimal
    quantity_released: Decimal


@dataclass(frozen=True, slots=True)
class Decided:
    """What becomes of a draft: refused with problems, or an order with its status and the holds it calls for."""

    draft: Draft
    refusals: Sequence[Problem] = ()
    customer: CustomerFacts | None = None
    warehouse: str = ""
    ship_to_country: str = ""
    status: OrderStatus = OrderStatus.ENTERED
    total: Decimal = ZERO
    lines: Sequence[DecidedLine] = ()
    holds: Sequence[Violation] = ()
    facts: OrderFacts | None = None

    @property
    def margin(self) -> Decimal:
        """What is left of the order's value after the cost of its goods."""
        lines = self.facts.lines if self.facts else ()
        cost = sum((x.item.unit_cost * (x.quantity or ZERO) for x in lines if x.item), ZERO)
        return money(self.total - cost)


@dataclass(frozen=True, slots=True)
class Priced:
    """A line with its item, base quantity and price."""

    asked: DraftLine
    item: ItemFacts
    base: Decimal
    unit_price: Decimal
    per_base: Decimal
    expected: Decimal
    source: str


def decide(draft: Draft, picture: Picture, policy: Policy, today: date) -> Decided:
    """The verdict on a draft. What cannot even be entered is refused with every reason."""
    customer = picture.customers.get(draft.customer)
    refusals = refusals_of(draft, picture)
    if refusals or customer is None:
        return Decided(draft, refusals)
    policy = policy.of(customer.entity)
    warehouse = draft.warehouse or _choose_warehouse(draft, customer, picture)
    lines = [_priced(draft, asked, customer, picture) for asked in draft.lines]
    bound = _bind(lines, warehouse, picture)
    facts = _facts(draft, lines, bound, customer, warehouse, picture, policy, today)
    holds = list(sales.merged(sales.validate(facts, policy)).values())
    need = [(p.asked.line, p.base - p.asked.quantity_shipped, b) for p, b in zip(lines, bound, strict=True)]
    partial = customer.ships_partial
    stopping = [(h.reason, h.line) for h in holds if not (partial and h.reason == HoldReason.STOCK)]
    status, allocated, released = stage(need, stopping, policy, partial=partial)
    made = [
        DecidedLine(
            p.asked.line,
            p.asked.sku,
            p.asked.quantity,
            p.asked.uom,
            p.base,
            p.unit_price,
            p.asked.requested_date,
            allocated[p.asked.line],
            released[p.asked.line],
        )
        for p in lines
    ]
    value = money(sum((p.unit_price * p.asked.quantity for p in lines), ZERO))
    return Decided(draft, (), customer, warehouse, facts.ship_to_country, status, value, made, holds, facts)


def examine(draft: Draft, picture: Picture, policy: Policy, today: date) -> tuple[list[Violation], dict[int, Decimal]]:
    """For an order that was entered: what is broken now, and what of each line could be bound. Raises RuleViolation."""
    refusals = refusals_of(draft, picture)
    if refusals:
        raise RuleViolation(refusals)
    customer, warehouse = picture.customers[draft.customer], str(draft.warehouse)
    policy = policy.of(customer.entity)
    lines = [_priced(draft, asked, customer, picture) for asked in draft.lines]
    bound = _bind(lines, warehouse, picture)
    facts = _facts(draft, lines, bound, customer, warehouse, picture, policy, today)
    broken = list(sales.merged(sales.validate(facts, policy)).values())
    return broken, {p.asked.line: b for p, b in zip(lines, bound, strict=True)}


def refusals_of(draft: Draft, picture: Picture) -> list[Problem]:
    """Why a draft cannot be entered at all."""
    found = []
    if draft.customer not in picture.customers:
        found.append(Problem("customer_unknown", f"There is no customer {draft.customer}."))
    if draft.number in picture.numbers:
        text = f"There is a sales order {draft.number} already."
        found.append(Problem("order_exists", text, {"order": draft.number}))
    if not picture.warehouses:
        found.append(Problem("warehouse_missing", "There is no warehouse to deliver from."))
    elif draft.warehouse is not None and draft.warehouse not in picture.warehouses:
        found.append(Problem("warehouse_unknown", f"There is no warehouse {draft.warehouse}."))
    for line in draft.lines:
        item = picture.items.get(line.sku)
        if item is None:
            found.append(Problem("item_unknown", f"There is no item {line.sku}.", {"sku": line.sku}))
        elif line.quantity_base is None and to_base(line.quantity, line.uom, item) is None:
            text = f"{line.sku} is not sold by {line.uom} (its unit is {item.uom})."
            found.append(Problem("unit_unknown", text, {"sku": line.sku, "uom": line.uom}))
    return found


def _choose_warehouse(draft: Draft, customer: CustomerFacts, picture: Picture) -> str:
    """The customer's usual warehouse, unless it cannot serve the order whole and another one of the same firm and country can."""
    usual = default_warehouse(customer, picture)
    wanted = quantities((x.sku, to_base(x.quantity, x.uom, picture.items[x.sku]) or ZERO) for x in draft.lines)

    def whole(code: str) -> bool:
        return all(picture.free.get((code, sku), ZERO) >= q for sku, q in wanted.items())

    here = picture.warehouses[usual]
    near = [w.code for w in picture.warehouses.values() if (w.entity, w.country) == (here.entity, here.country)]
    return usual if whole(usual) else next((code for code in sorted(near) if whole(code)), usual)


def default_warehouse(customer: CustomerFacts, picture: Picture) -> str:
    """The warehouse of the customer's last order, else one of its country, else of its firm, else the first."""
    account = picture.accounts.get(customer.code)
    if account is not None and account.last_warehouse in picture.warehouses:
        return str(account.last_warehouse)
    ranked = sorted(
        picture.warehouses.values(), key=lambda w: (w.country != customer.country, w.entity != customer.entity, w.code)
    )
    return ranked[0].code


def _priced(draft: Draft, asked: DraftLine, customer: CustomerFacts, picture: Picture) -> Priced:
    item = picture.items[asked.sku]
    base = asked.quantity_base if asked.quantity_base is not None else to_base(asked.quantity, asked.uom, item)
    assert base is not None  # refused before
    found = find_price(
        item,
        picture.contracts.get((customer.code, asked.sku), ()),
        picture.tiers.get((customer.tier, asked.sku), ()),
        customer.discount_percent,
        base,
        draft.ordered_at.date(),
    )
    unit_price = asked.unit_price
    if unit_price is None:
        unit_price = found.unit_price if base == asked.quantity else _per_unit(found.unit_price, base, asked.quantity)
    per_base = unit_price if base == asked.quantity or not base else unit_price * asked.quantity / base
    return Priced(asked, item, base, unit_price, per_base, found.unit_price, found.source)


def _per_unit(per_base: Decimal, base: Decimal, quantity: Decimal) -> Decimal:
    return (per_base * base / quantity).quantize(PRICE_PLACES)


def _bind(lines: Sequence[Priced], warehouse: str, picture: Picture) -> list[Decimal]:
    """What each line has or could have of the warehouse's free stock, first come first served."""
    taken: dict[str, Decimal] = {}
    bound = []
    for line in lines:
        asked = line.asked
        free = picture.free.get((warehouse, asked.sku), ZERO) - taken.get(asked.sku, ZERO)
        more = min(max(line.base - asked.quantity_allocated - asked.quantity_shipped, ZERO), max(free, ZERO))
        taken[asked.sku] = taken.get(asked.sku, ZERO) + more
        bound.append(asked.quantity_allocated + more)
    return bound


def _facts(
    draft: Draft,
    lines: Sequence[Priced],
    bound: Sequence[Decimal],
    customer: CustomerFacts,
    warehouse: str,
    picture: Picture,
    policy: Policy,
    today: date,
) -> OrderFacts:
    account = picture.accounts.get(customer.code) or Account()
    line_facts = [_line_facts(p, b, customer, picture) for p, b in zip(lines, bound, strict=True)]
    place = picture.warehouses[warehouse]
    credit = CreditFacts(
        customer=customer.code,
        status=customer.status,
        standing=customer.standing,
        currency=customer.currency,
        limit=customer.credit_limit,
        limit_expires=customer.limit_expires,
        terms_days=customer.terms_days,
        terms_asked=draft.payment_terms_days,
        terms_changed_on=customer.terms_changed_on,
        discount_changed_on=customer.discount_changed_on,
        excluded=customer.credit_excluded,
        open_orders=account.open_orders - draft.own_value,
        unpaid=account.unpaid + customer.owed_elsewhere,
        overdue=account.overdue,
        oldest_due=account.oldest_due,
        order_total=sales.total(line_facts),
        order_open=money(sum((p.per_base * (p.base - p.asked.quantity_invoiced) for p in lines), ZERO)),
        on=today,
    )
    known_country = draft.address_country(picture.addresses.get(customer.code, {})) if draft.ship_to else None
    same_po, similar = twins(draft, quantities((p.asked.sku, p.base) for p in lines), picture, policy)
    return OrderFacts(
        number=draft.number,
        home_country=customer.home_country,
        ship_to_country=draft.ship_to_country or known_country or customer.country,
        credit=credit,
        warehouse=warehouse,
        requested_date=draft.requested_date,
        rebate_percent=customer.rebate_percent,
        tax_exempt=customer.tax_exempt,
        delivery=customer.delivery,
        new_address=draft.ship_to if draft.ship_to and known_country is None else None,
        same_po=same_po,
        similar=similar,
        usual_value=(account.order_value / account.order_count).quantize(Decimal("0.01"))
        if account.order_count > 0
        else None,
        earlier_orders=account.order_count,
        warehouse_load=place.load,
        warehouse_capacity=place.capacity,
        lines=line_facts,
    )


def _line_facts(line: Priced, bound: Decimal, customer: CustomerFacts, picture: Picture) -> LineFacts:
    usual = picture.usual.get((customer.code, line.asked.sku))
    return LineFacts(
        line=line.asked.line,
        sku=line.asked.sku,
        item=line.item,
        quantity=line.base,
        unit_price=line.per_base,
        expected_price=line.expected,
        price_source=line.source,
        usual_quantity=(usual.quantity / usual.orders).quantize(Decimal("0.001"))
        if usual and usual.orders > 0
        else None,
        earlier_orders=usual.orders if usual else 0,
        quantity_short=max(line.base - bound - line.asked.quantity_shipped, ZERO),
    )


def stage(
    need: Sequence[tuple[int, Decimal, Decimal]],
    holds: Sequence[tuple[HoldReason, int | None]],
    policy: Policy,
    *,
    partial: bool,
) -> tuple[OrderStatus, dict[int, Decimal], dict[int, Decimal]]:
    """How far an order goes: its status, and what of each line stays allocated and is released.

    `need` has (line, open quantity, bound quantity). A hold on the order stops every line; a hold on a line stops that line,
    and the whole order too unless the customer takes part deliveries. Leave the core's own stock holds out then: what is
    short is no reason to keep back the rest.
    """
    stops: dict[int | None, set[str]] = {}
    for reason, line in holds:
        rule = policy.holds[reason]
        kept = set() if rule.keeps_stock else {"allocate"}
        stops.setdefault(line if partial else None, set()).update(rule.blocks, kept)
    whole = stops.get(None, set())
    if "allocate" in whole:
        nothing = {line: ZERO for line, _, _ in need}
        return OrderStatus.VALIDATED, nothing, dict(nothing)
    allocated, released = {}, {}
    short = any(bound < wanted for _, wanted, bound in need)
    for line, _, bound in need:
        own = whole | stops.get(line, set())
        allocated[line] = ZERO if "allocate" in own else bound
        free = "release" not in own and (partial or not short)
        released[line] = allocated[line] if free else ZERO
    if any(released.values()):
        return OrderStatus.RELEASED, allocated, released
    complete = all(allocated[line] >= wanted for line, wanted, _ in need)
    return (OrderStatus.ALLOCATED if complete else OrderStatus.VALIDATED), allocated, released


def remember(decided: Decided, picture: Picture) -> None:
    """Let the next draft of the batch see this order."""
    draft, customer = decided.draft, decided.customer
    if decided.refusals or customer is None:
        return
    picture.numbers.add(draft.number)
    account = picture.accounts.setdefault(customer.code, Account())
    account.open_orders += decided.total
    account.order_count += 1
    account.order_value += decided.total
    account.last_warehouse = decided.warehouse
    for line in decided.lines:
        if line.quantity_allocated:
            picture.free[decided.warehouse, line.sku] -= line.quantity_allocated
    summed = quantities((x.sku, x.quantity_base) for x in decided.lines)
    for sku, quantity in summed.items():
        usual = picture.usual.setdefault((customer.code, sku), Usual(0, ZERO))
        usual.orders, usual.quantity = usual.orders + 1, usual.quantity + quantity
    self = Earlier(draft.number, draft.ordered_at, summed)
    if draft.customer_po:
        picture.pos.setdefault((customer.code, draft.customer_po.lower()), []).append(self)
    picture.baskets.setdefault((customer.code, draft.basket), []).append(self)
    if decided.status == OrderStatus.RELEASED:
        picture.warehouses[decided.warehouse].load += 1
