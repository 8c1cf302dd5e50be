"""Order validation: one fixed sequence, all problems.

Customer and required data, then price and margin, export, duplicate and abnormal, credit, stock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from erp_core.errors import Problem
from erp_core.policy import Policy
from erp_core.rules import catalog
from erp_core.rules.catalog import Agreement, ItemFacts
from erp_core.values import HoldReason, money, plain


@dataclass(frozen=True)
class LineFacts:
    """A line and what is known around it. Quantities in base units, price per base unit."""

    line: int
    sku: str
    item: ItemFacts | None
    quantity: Decimal | None
    unit_price: Decimal
    agreements: Sequence[Agreement] = ()
    usual_quantity: Decimal | None = None
    earlier_orders: int = 0
    quantity_short: Decimal = Decimal(0)


@dataclass(frozen=True)
class OrderFacts:
    """An order and what is known around it. Amounts in the customer's currency."""

    number: str
    customer: str
    customer_status: str
    currency: str
    ordered_on: date
    ship_to_country: str
    home_country: str
    credit_limit: Decimal
    other_exposure: Decimal
    same_po: Sequence[str] = ()
    lines: Sequence[LineFacts] = field(default_factory=tuple)

    @property
    def total(self) -> Decimal:
        """Value of all lines with a known quantity."""
        return money(sum((x.unit_price * (x.quantity or 0) for x in self.lines), Decimal(0)))


@dataclass(frozen=True)
class Violation:
    """A broken rule and the hold it calls for."""

    reason: HoldReason
    line: int | None
    problem: Problem


def validate(order: OrderFacts, policy: Policy) -> list[Violation]:
    """Every problem of an order, in the documented sequence."""
    checks = (_customer, _data, _price, _margin, _export, _duplicate, _abnormal, _credit, _stock)
    return [violation for check in checks for violation in check(order, policy)]


def _customer(order: OrderFacts, policy: Policy) -> Iterator[Violation]:
    if order.customer_status == "blocked":
        text = f"Customer {order.customer} is blocked."
        yield Violation(HoldReason.CREDIT, None, Problem("customer_blocked", text, {"customer": order.customer}))


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
        agreed = catalog.agreed_price(line.agreements, quantity, order.ordered_on)
        expected = agreed.unit_price if agreed else item.list_price
        tolerance = expected * policy.orders.price_tolerance_percent / 100
        if abs(line.unit_price - expected) > tolerance:
            source = "agreed" if agreed else "list"
            text = f"Line {line.line}: {line.sku} at {plain(line.unit_price)}, {source} price is {plain(expected)}."
            facts = {"sku": line.sku, "price": plain(line.unit_price), "expected": plain(expected), "source": source}
            yield Violation(HoldReason.PRICE, line.line, Problem("price_differs", text, facts))


def _margin(order: OrderFacts, policy: Policy) -> Iterator[Violation]:
    for line, item, _ in _known(order):
        price = line.unit_price
        margin = (price - item.unit_cost) / price * 100 if price else Decimal(-100)
        if margin < policy.orders.margin_floor_percent:
            floor = policy.orders.margin_floor_percent
            text = f"Line {line.line}: margin of {line.sku} is {margin:.1f} %, the floor is {floor} %."
            facts = {"sku": line.sku, "margin_percent": f"{margin:.1f}", "floor": str(floor)}
            yield Violation(HoldReason.MARGIN, line.line, Problem("margin_below_floor", text, facts))


def _export(order: OrderFacts, policy: Policy) -> Iterator[Violation]:
    if order.ship_to_country == order.home_country:
        return
    free = set(policy.orders.unrestricted_export_classes)
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


def _duplicate(order: OrderFacts, policy: Policy) -> Iterator[Violation]:
    if order.same_po:
        others = ", ".join(order.same_po)
        text = f"The same customer PO is on {others}."
        yield Violation(HoldReason.DUPLICATE, None, Problem("duplicate_po", text, {"orders": list(order.same_po)}))


def _abnormal(order: OrderFacts, policy: Policy) -> Iterator[Violation]:
    rules = policy.orders
    for line, _, quantity in _known(order):
        usual = line.usual_quantity
        if usual and line.earlier_orders >= rules.abnormal_minimum_orders and quantity > usual * rules.abnormal_factor:
            text = f"Line {line.line}: {plain(quantity)} of {line.sku}, usually about {plain(usual)}."
            facts = {"sku": line.sku, "quantity": plain(quantity), "usual": plain(usual)}
            yield Violation(HoldReason.ABNORMAL, line.line, Problem("quantity_abnormal", text, facts))


def _credit(order: OrderFacts, policy: Policy) -> Iterator[Violation]:
    exposure = money(order.other_exposure + order.total)
    limit = money(order.credit_limit * (100 + policy.orders.credit_tolerance_percent) / 100)
    if exposure > limit:
        text = f"Exposure {exposure:,} {order.currency} with this order, limit {limit:,} {order.currency}."
        facts = {"exposure": str(exposure), "limit": str(limit), "over": str(exposure - limit)}
        yield Violation(HoldReason.CREDIT, None, Problem("credit_limit_exceeded", text, facts))


def _stock(order: OrderFacts, policy: Policy) -> Iterator[Violation]:
    for line in order.lines:
        if line.quantity_short > 0:
            text = f"Line {line.line}: {plain(line.quantity_short)} of {line.sku} are not in stock."
            facts = {"sku": line.sku, "short": plain(line.quantity_short)}
            yield Violation(HoldReason.STOCK, line.line, Problem("stock_short", text, facts))
