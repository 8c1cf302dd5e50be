"""A supplier's invoice against order and receipts: every difference, and whether it may be paid. Values in, values out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from erp_core.rules.receiving import Difference, Tolerances, in_turn
from erp_core.values import DiscrepancyKind, digest, money, plain

ZERO = Decimal(0)
HOPELESS = {DiscrepancyKind.UNORDERED, DiscrepancyKind.CURRENCY, DiscrepancyKind.DUPLICATE}


@dataclass(frozen=True, slots=True)
class MatchLine:
    """A line of the purchase order: cost, what was ordered, what came usable, what other invoices bill, and how much of that is more
    than it should cost; base units."""

    line: int
    sku: str
    unit_cost: Decimal
    ordered: Decimal
    received: Decimal
    billed_before: Decimal
    overcharged_before: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Billed:
    """A line of the invoice, in base units."""

    line: int
    order_line: int | None
    sku: str
    quantity: Decimal
    unit_price: Decimal


@dataclass(frozen=True, slots=True)
class Bill:
    """A supplier's invoice and what its order says of currency, tax and day. `twins` are invoices that look the same.

    `order_named` is the order as the supplier calls it, `order_stands` whether somebody approved it and nobody cancelled it;
    `charges_before` is what other invoices charge on it.
    """

    lines: Sequence[Billed]
    currency: str
    currency_expected: str
    tax: Decimal
    tax_percent: Decimal
    charges: Decimal
    charges_before: Decimal
    charges_accepted: Decimal
    block_percent: Decimal
    order_named: str | None
    order_stands: bool
    invoiced_at: date
    ordered_at: date | None
    twins: Sequence[str]
    three_way: bool


@dataclass(frozen=True, slots=True)
class Match:
    """All differences; none: it matches. `approvable`: somebody may accept them as they are."""

    differences: Sequence[Difference]
    approvable: bool

    @property
    def facts_hash(self) -> str:
        """What an approval is bound to: other differences need another one."""
        return digest([[d.kind, d.sku, d.expected, d.actual, d.amount] for d in self.differences])


def split(room: Mapping[int, tuple[str, Decimal]], lines: Sequence[Billed]) -> list[Billed]:
    """Lines that name no line of the order bill those for their item in turn, the rest the last of them; numbered anew.

    `room` is, for each line of the order, its item and what of it is not billed yet.
    """
    left = {line: quantity for line, (_, quantity) in room.items()}
    found: list[Billed] = []
    for one in lines:
        same = [n for n, (sku, _) in room.items() if sku == one.sku] if one.order_line is None else [one.order_line]
        parts: Sequence[tuple[int | None, Decimal]] = (
            in_turn(same, left, one.quantity) if same else [(None, one.quantity)]
        )
        found += [
            replace(one, line=len(found) + n, order_line=line, quantity=q) for n, (line, q) in enumerate(parts, 1)
        ]
    return found


def match(bill: Bill, ordered: Sequence[MatchLine], limits: Mapping[str, Tolerances]) -> Match:
    """Two-way against the order, three-way against what came of it too. In order: the whole, then each line, then tax and charges."""
    found = [*_whole(bill)]
    blocked = any(d.kind in HOPELESS for d in found)
    open_lines = {x.line: x for x in ordered}
    billed: dict[int, Decimal] = {}
    overcharged: dict[int, Decimal] = {}
    for one in bill.lines:
        line = _line_for(one, open_lines)
        if line is None:
            text = f"Line {one.line}: {one.sku} is not on the purchase order."
            amount = money(one.quantity * one.unit_price)
            found.append(Difference(DiscrepancyKind.UNORDERED, one.sku, "0", plain(one.quantity), amount, text))
            blocked = True
            continue
        tolerance = limits[line.sku]
        before = line.billed_before + billed.get(line.line, ZERO)
        too_much = line.overcharged_before + overcharged.get(line.line, ZERO)
        billed[line.line] = billed.get(line.line, ZERO) + one.quantity
        overcharged[line.line] = overcharged.get(line.line, ZERO) + overcharge(one, line.unit_cost)
        prices = _price(one, line, before, too_much, tolerance)
        for difference, percent in (*prices, *_quantity(bill, one, line, before, tolerance)):
            found.append(difference)
            blocked = blocked or percent > tolerance.block_percent
    net = sum((x.quantity * x.unit_price for x in bill.lines), ZERO)
    for difference in _beside(bill, net):
        found.append(difference)
        blocked = blocked or abs(difference.amount) * 100 > net * bill.block_percent
    return Match(found, not blocked)


def overcharge(one: Billed, unit_cost: Decimal) -> Decimal:
    """What a line bills above its cost as ordered; cheaper is no reason to wait, nor a licence elsewhere."""
    return max(one.unit_price - unit_cost, ZERO) * one.quantity


def _line_for(one: Billed, ordered: Mapping[int, MatchLine]) -> MatchLine | None:
    if one.order_line is not None:
        named = ordered.get(one.order_line)
        return named if named is not None and named.sku == one.sku else None
    return next((x for x in ordered.values() if x.sku == one.sku), None)


def _price(
    one: Billed, line: MatchLine, before: Decimal, too_much: Decimal, tolerance: Tolerances
) -> list[tuple[Difference, Decimal]]:
    """Dearer than ordered. Tolerance is for the order's line, over all its invoices: many small ones are one large one."""
    own = overcharge(one, line.unit_cost)
    cost = line.unit_cost * (before + one.quantity)
    if not own or too_much + own <= max(cost * tolerance.price_percent / 100, tolerance.amount):
        return []
    text = f"Line {one.line}: {one.sku} is billed at {plain(one.unit_price)}, ordered at {plain(line.unit_cost)}."
    percent = (one.unit_price - line.unit_cost) * 100 / line.unit_cost if line.unit_cost else Decimal(100)
    expected, actual = plain(line.unit_cost), plain(one.unit_price)
    return [(Difference(DiscrepancyKind.PRICE, one.sku, expected, actual, money(own), text), percent)]


def _quantity(
    bill: Bill, one: Billed, line: MatchLine, before: Decimal, tolerance: Tolerances
) -> list[tuple[Difference, Decimal]]:
    """More billed than came (three-way) or than was ordered (two-way), counting what other invoices bill of the line.

    What was taken in within tolerance may be billed; nothing beyond, and no second tolerance on top.
    """
    most = line.ordered * (100 + tolerance.over_percent) / 100
    due = min(line.received, most) if bill.three_way else line.ordered
    over = before + one.quantity - due
    worth = money(over * one.unit_price)
    if over <= 0 or worth <= tolerance.amount:
        return []
    word = "came" if bill.three_way else "were ordered"
    billed = plain(before + one.quantity)
    text = f"Line {one.line}: {billed} of {one.sku} are billed, {plain(due)} {word}."
    made = Difference(DiscrepancyKind.QUANTITY, one.sku, plain(due), billed, worth, text)
    return [(made, over * 100 / due if due else Decimal(100))]


def _whole(bill: Bill) -> list[Difference]:
    found = []
    net = money(sum((x.quantity * x.unit_price for x in bill.lines), ZERO))
    if bill.twins:
        text = f"It looks the same as {', '.join(bill.twins)}."
        found.append(Difference(DiscrepancyKind.DUPLICATE, None, "one invoice", ", ".join(bill.twins), net, text))
    if bill.currency != bill.currency_expected:
        text = f"It is in {bill.currency}; the order is in {bill.currency_expected}."
        found.append(Difference(DiscrepancyKind.CURRENCY, None, bill.currency_expected, bill.currency, net, text))
    if bill.ordered_at is None:
        named = (
            f"It names {bill.order_named}, which is no order of this supplier"
            if bill.order_named
            else "It names no order"
        )
        text = f"{named}."
        found.append(Difference(DiscrepancyKind.UNORDERED, None, "a purchase order", "none", net, text))
    elif not bill.order_stands:
        text = f"{bill.order_named} was never approved, or was cancelled."
        found.append(Difference(DiscrepancyKind.UNORDERED, None, "an approved order", str(bill.order_named), net, text))
    elif bill.invoiced_at < bill.ordered_at:
        text = f"It is of {bill.invoiced_at}, before the order of {bill.ordered_at}."
        found.append(
            Difference(
                DiscrepancyKind.DATE, None, bill.ordered_at.isoformat(), bill.invoiced_at.isoformat(), ZERO, text
            )
        )
    return found


def _beside(bill: Bill, net: Decimal) -> list[Difference]:
    found = []
    expected = money(net * bill.tax_percent / 100)
    if abs(bill.tax - expected) > Decimal("0.05"):
        text = f"Tax of {bill.tax:,} is billed; {plain(bill.tax_percent)} % of {money(net):,} is {expected:,}."
        found.append(
            Difference(DiscrepancyKind.TAX, None, str(expected), str(bill.tax), money(bill.tax - expected), text)
        )
    charged = bill.charges_before + bill.charges
    if bill.charges > 0 and charged > bill.charges_accepted:
        text = f"Charges of {charged:,} are billed on this order; up to {bill.charges_accepted:,} pass."
        over = money(min(charged - bill.charges_accepted, bill.charges))
        found.append(Difference(DiscrepancyKind.CHARGES, None, str(bill.charges_accepted), str(charged), over, text))
    return found
