"""Order validation: one fixed sequence, all problems.

Required data, price, margin, tax, export, shipping, address, duplicate, abnormal, credit, availability, capacity.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from erp_core.errors import Problem
from erp_core.policy import Policy
from erp_core.rules import credit
from erp_core.rules.catalog import ItemFacts
from erp_core.rules.credit import CreditFacts
from erp_core.values import HoldReason, digest, money, plain

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True, slots=True)
class LineFacts:
    """A line and what is known around it. Quantities in base units, prices per base unit."""

    line: int
    sku: str
    item: ItemFacts | None
    quantity: Decimal | None
    unit_price: Decimal
    expected_price: Decimal | None = None
    price_source: str = "list"
    usual_quantity: Decimal | None = None
    earlier_orders: int = 0
    quantity_short: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """An order and what is known around it. Amounts in the customer's currency."""

    number: str
    home_country: str
    ship_to_country: str
    credit: CreditFacts
    warehouse: str = ""
    requested_date: date | None = None
    rebate_percent: Decimal = Decimal(0)
    tax_exempt: bool = True
    delivery: Mapping[str, Any] = field(default_factory=dict)
    new_address: str | None = None
    same_po: Sequence[str] = ()
    similar: Sequence[str] = ()
    usual_value: Decimal | None = None
    earlier_orders: int = 0
    warehouse_load: int = 0
    warehouse_capacity: int | None = None
    lines: Sequence[LineFacts] = ()

    @property
    def total(self) -> Decimal:
        """Value of all lines with a known quantity."""
        return total(self.lines)


def total(lines: Sequence[LineFacts]) -> Decimal:
    """Value of all lines with a known quantity."""
    return money(sum((x.unit_price * (x.quantity or 0) for x in lines), Decimal(0)))


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken rule and the hold it calls for."""

    reason: HoldReason
    line: int | None
    problem: Problem


def validate(order: OrderFacts, policy: Policy) -> list[Violation]:
    """Every problem of an order, in the documented sequence."""
    return [violation for check in SEQUENCE for violation in check(order, policy)]


def _data(order: OrderFacts, policy: Policy) -> Iterator[Violation]:
    for line in order.lines:
        if line.item is None:
            text = f"Line {line.line}: there is no item {line.sku}."
            yield Violation(HoldReason.DATA, line.line, Problem("item_unknown", text, {"sku": line.sku}))
        elif line.quantity is None:
            text = f"Line {line.line}: {line.sku} is not sold in this unit."
            yield Violation(HoldReason.DATA, line.line, Problem("unit_unknown", text, {"sku": line.sku}))
        elif line.item.status == "discontinued":
            text = f"Line {line.line}: {line.sku} is discontinued."
            yield Violation(HoldReason.DATA, line.line, Problem("item_discontinued", text, {"sku": line.sku}))


def _known(order: OrderFacts) -> Iterator[tuple[LineFacts, ItemFacts, Decimal]]:
    for line in order.lines:
        if line.item is not None and line.quantity:
            yield line, line.item, line.quantity


def _price(order: OrderFacts, policy: Policy) -> Iterator[Violation]:
    for line, item, quantity in _known(order):
        expected = line.expected_price if line.expected_price is not None else item.list_price
        tolerance = expected * policy.orders.price_tolerance_percent / 100
        if abs(line.unit_price - expected) > tolerance:
            source = line.price_source
            text = f"Line {line.line}: {line.sku} at {plain(line.unit_price)}, {source} price is {plain(expected)}."
            facts = {
                "sku": line.sku,
                "price": plain(line.unit_price),
                "expected": plain(expected),
                "source": source,
                "quantity": plain(quantity),
            }
            yield Violation(HoldReason.PRICE, line.line, Problem("price_differs", text, facts))


def margin_percent(line: LineFacts, item: ItemFacts, rebate_percent: Decimal, policy: Policy) -> Decimal:
    """What is left of a line's value after cost, rebate, freight and fulfilment, in percent of the value."""
    value = line.unit_price * (line.quantity or 0)
    if not value:
        return Decimal(-100)
    share = rebate_percent + policy.costs.freight_percent
    costs = item.unit_cost * (line.quantity or 0) + value * share / 100 + policy.costs.fulfilment_per_line
    return (value - costs) / value * 100


def _margin(order: OrderFacts, policy: Policy) -> Iterator[Violation]:
    floor = policy.orders.margin_floor_percent
    for line, item, quantity in _known(order):
        margin = margin_percent(line, item, order.rebate_percent, policy)
        if margin < floor:
            text = f"Line {line.line}: margin of {line.sku} is {margin:.1f} %, the floor is {floor} %."
            facts = {
                "sku": line.sku,
                "margin_percent": f"{margin:.1f}",
                "floor": str(floor),
                "quantity": plain(quantity),
            }
            yield Violation(HoldReason.MARGIN, line.line, Problem("margin_below_floor", text, facts))


def _tax(order: OrderFacts, policy: Policy) -> Iterator[Violation]:
    abroad = order.ship_to_country != order.home_country
    if abroad or order.tax_exempt or order.ship_to_country in policy.tax_percent:
        return
    text = f"No tax rate is known for deliveries in {order.ship_to_country}."
    yield Violation(HoldReason.TAX, None, Problem("tax_rate_unknown", text, {"country": order.ship_to_country}))


def _export(order: OrderFacts, policy: Policy) -> Iterator[Violation]:
    if order.ship_to_country == order.home_country:
        return
    free = policy.orders.unrestricted_export_classes
    for line in order.lines:
        if line.item is not None and (line.item.export_class or "") not in free:
            text = f"Line {line.line}: {line.sku} ({line.item.export_class}) leaves for {order.ship_to_country}."
            facts = {
                "sku": line.sku,
                "export_class": line.item.export_class,
                "country": order.ship_to_country,
                "quantity": plain(line.quantity or Decimal(0)),
            }
            yield Violation(HoldReason.EXPORT, line.line, Problem("export_controlled", text, facts))


def _shipping(order: OrderFacts, policy: Policy) -> Iterator[Violation]:
    """What this customer wants of its deliveries."""
    wants = order.delivery
    if not wants:
        return
    countries = wants.get("countries")
    if countries and order.ship_to_country not in countries:
        text = f"The customer takes deliveries in {', '.join(countries)}, not in {order.ship_to_country}."
        facts = {"country": order.ship_to_country, "allowed": list(countries)}
        yield Violation(HoldReason.SHIPPING, None, Problem("country_not_served", text, facts))
    days = wants.get("weekdays")
    if days and order.requested_date is not None and order.requested_date.isoweekday() not in days:
        day = WEEKDAYS[order.requested_date.isoweekday() - 1]
        text = f"The customer takes no deliveries on a {day}."
        facts = {"date": order.requested_date.isoformat(), "weekdays": list(days)}
        yield Violation(HoldReason.SHIPPING, None, Problem("delivery_day", text, facts))
    smallest = wants.get("smallest_order")
    if smallest is not None and order.total < Decimal(str(smallest)):
        text = f"The order comes to {order.total:,}; the customer takes none under {smallest}."
        yield Violation(HoldReason.SHIPPING, None, Problem("order_too_small", text, {"smallest": str(smallest)}))
    for line, item, _ in _known(order):
        if wants.get("no_hazmat") and item.hazmat:
            text = f"Line {line.line}: {line.sku} is dangerous goods, which the customer does not take."
            yield Violation(HoldReason.SHIPPING, line.line, Problem("hazmat_refused", text, {"sku": line.sku}))


def _address(order: OrderFacts, policy: Policy) -> Iterator[Violation]:
    """Goods go to addresses that a steward entered; any other is looked at."""
    if order.new_address is not None:
        text = f"The delivery address is none of the customer's: {order.new_address[:120]}"
        yield Violation(HoldReason.ADDRESS, None, Problem("address_unknown", text, {"address": order.new_address}))


def _duplicate(order: OrderFacts, policy: Policy) -> Iterator[Violation]:
    if order.same_po:
        others = ", ".join(order.same_po)
        text = f"The same customer PO is on {others}."
        yield Violation(HoldReason.DUPLICATE, None, Problem("duplicate_po", text, {"orders": list(order.same_po)}))
    elif order.similar:
        others = ", ".join(order.similar)
        text = f"The same goods were ordered within {policy.orders.similar_days} days on {others}."
        facts = {"orders": list(order.similar)}
        yield Violation(HoldReason.DUPLICATE, None, Problem("duplicate_basket", text, facts))


def _abnormal(order: OrderFacts, policy: Policy) -> Iterator[Violation]:
    rules = policy.orders
    for line, _, quantity in _known(order):
        usual = line.usual_quantity
        if usual and line.earlier_orders >= rules.abnormal_minimum_orders and quantity > usual * rules.abnormal_factor:
            text = f"Line {line.line}: {plain(quantity)} of {line.sku}, usually about {plain(usual)}."
            facts = {"sku": line.sku, "quantity": plain(quantity), "usual": plain(usual)}
            yield Violation(HoldReason.ABNORMAL, line.line, Problem("quantity_abnormal", text, facts))
    usual_value = order.usual_value
    enough = order.earlier_orders >= rules.abnormal_minimum_orders
    if usual_value and enough and order.total > usual_value * rules.abnormal_order_factor:
        text = f"The order comes to {order.total:,}, usually about {usual_value:,}."
        facts = {"total": str(order.total), "usual": str(usual_value)}
        yield Violation(HoldReason.ABNORMAL, None, Problem("order_abnormal", text, facts))


def _credit(order: OrderFacts, policy: Policy) -> Iterator[Violation]:
    for problem in credit.check(order.credit, policy.credit):
        yield Violation(HoldReason.CREDIT, None, problem)


def _stock(order: OrderFacts, policy: Policy) -> Iterator[Violation]:
    for line in order.lines:
        if line.quantity_short > 0:
            text = f"Line {line.line}: {plain(line.quantity_short)} of {line.sku} are not in stock."
            facts = {"sku": line.sku, "short": plain(line.quantity_short)}
            yield Violation(HoldReason.STOCK, line.line, Problem("stock_short", text, facts))


def _capacity(order: OrderFacts, policy: Policy) -> Iterator[Violation]:
    most = order.warehouse_capacity
    if most is not None and order.warehouse_load >= most:
        text = f"{order.warehouse} works on {order.warehouse_load} orders already; {most} is its capacity."
        facts = {"warehouse": order.warehouse, "capacity": most}
        yield Violation(HoldReason.SHIPPING, None, Problem("warehouse_full", text, facts))


SEQUENCE = (
    _data,
    _price,
    _margin,
    _tax,
    _export,
    _shipping,
    _address,
    _duplicate,
    _abnormal,
    _credit,
    _stock,
    _capacity,
)


def fingerprint(violation: Violation) -> str:
    """What a waiver is bound to: the rule, the line and every fact."""
    return digest([violation.problem.code, violation.line, violation.problem.facts])


def merged(violations: Sequence[Violation]) -> dict[tuple[HoldReason, int | None], Violation]:
    """One hold a reason and line; several problems of it are told, and waived, together."""
    found: dict[tuple[HoldReason, int | None], Violation] = {}
    for one in violations:
        known = found.get((one.reason, one.line))
        if known is not None:
            facts = {known.problem.code: known.problem.facts, one.problem.code: one.problem.facts}
            text = f"{known.problem.text} {one.problem.text}"
            one = Violation(one.reason, one.line, Problem(f"{known.problem.code}+{one.problem.code}", text, facts))
        found[one.reason, one.line] = one
    return found
