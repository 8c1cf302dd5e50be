"""What arrived against what was ordered: what is accepted, what is set apart, and every difference. Values in, values out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from erp_core.policy import MatchPolicy
from erp_core.values import DiscrepancyKind, money, plain

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Tolerances:
    """How much may differ, in percent of what was ordered and in money; beyond `block_percent` nobody may accept it."""

    short_percent: Decimal
    over_percent: Decimal
    price_percent: Decimal
    amount: Decimal
    block_percent: Decimal


def tolerances(policy: MatchPolicy, *scopes: Mapping[str, Decimal | None]) -> Tolerances:
    """The narrowest scope that says something wins: give item, supplier, entity, in this order; policy has the last word."""

    def said(name: str) -> Decimal:
        found = (scope.get(name) for scope in scopes)
        return next((value for value in found if value is not None), getattr(policy, name))

    return Tolerances(*(said(name) for name in Tolerances.__slots__))


@dataclass(frozen=True, slots=True)
class OrderedLine:
    """A line of a purchase order as it stood before this receipt, in base units.

    `open` is what has not come usable: below zero when more came. What came `damaged` may be replaced.
    """

    line: int
    sku: str
    ordered: Decimal
    open: Decimal
    damaged: Decimal
    unit_cost: Decimal


@dataclass(frozen=True, slots=True)
class Arrived:
    """One item as counted at the dock, in base units, with what its master data ask for."""

    line: int
    order_line: int | None
    sku: str
    quantity: Decimal
    damaged: Decimal
    lot: str | None
    compliant: bool
    lot_required: bool
    quality_check: bool
    unit_cost: Decimal


@dataclass(frozen=True, slots=True)
class Difference:
    """Expected and actual, what it is worth, and the sentence a person reads."""

    kind: DiscrepancyKind
    sku: str | None
    expected: str
    actual: str
    amount: Decimal
    text: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """What becomes of an arrived line: onto the shelf, or apart under one reason each."""

    line: int
    order_line: int | None
    to_shelf: Decimal
    apart: Mapping[str, Decimal]
    damaged: Decimal


def in_turn(lines: Sequence[int], room: dict[int, Decimal], quantity: Decimal) -> list[tuple[int, Decimal]]:
    """A quantity over lines in turn, as far as each has room, the rest to the last; what is given is taken from their room."""
    found = []
    for line in lines:
        given = quantity if line == lines[-1] else min(quantity, room[line])
        if given > 0:
            found.append((line, given))
            room[line] = room.get(line, ZERO) - given
            quantity -= given
    return found


def split(ordered: Sequence[OrderedLine], arrived: Sequence[Arrived]) -> list[Arrived]:
    """Goods that name no line go to the open lines for their item in turn, the rest to the last of them; numbered anew."""
    room = {x.line: max(x.open, ZERO) for x in ordered}
    found: list[Arrived] = []
    for one in arrived:
        damaged = one.damaged
        lines = [x.line for x in ordered if x.sku == one.sku] if one.order_line is None else []
        for line, quantity in in_turn(lines, room, one.quantity):
            own = min(damaged, quantity)
            found.append(replace(one, line=len(found) + 1, order_line=line, quantity=quantity, damaged=own))
            damaged -= own
        if not lines:
            found.append(replace(one, line=len(found) + 1))
    return found


def receive(
    ordered: Sequence[OrderedLine], arrived: Sequence[Arrived], limits: Mapping[str, Tolerances], *, open_order: bool
) -> tuple[list[Accepted], list[Difference]]:
    """Accept what was ordered within tolerance; the rest is there, but apart. An order that ended takes nothing more."""
    left = {x.line: x for x in ordered}
    taken: dict[int, Decimal] = {}
    accepted, differences = [], []
    for one in arrived:
        line = _line_for(one, left) if open_order else None
        usable, why = one.quantity - one.damaged, _not_for_the_shelf(one)
        differences += _condition(one)
        if line is None:
            differences.append(_unordered(one, open_order=open_order))
            reason = "compliance" if why == "compliance" else "unordered"
            accepted.append(Accepted(one.line, None, ZERO, _apart({reason: usable}, one), one.damaged))
            continue
        room = line.open - taken.get(line.line, ZERO)
        good = min(usable, max(room + line.ordered * limits[one.sku].over_percent / 100, ZERO))
        over = usable - good
        if over > 0:
            differences.append(_over(one, line, over, room))
        taken[line.line] = taken.get(line.line, ZERO) + good
        apart = {why: good} if why else {}
        reason = "compliance" if why == "compliance" else "over"
        apart[reason] = apart.get(reason, ZERO) + over
        shelf = ZERO if why else good
        accepted.append(Accepted(one.line, line.line, shelf, _apart(apart, one), one.damaged))
    return accepted, differences


def missing(ordered: Sequence[OrderedLine], limits: Mapping[str, Tolerances]) -> list[Difference]:
    """After the last receipt: lines of which less came, usable or damaged, than tolerance allows."""
    found = []
    for line in ordered:
        lacking = line.open - line.damaged
        if lacking > line.ordered * limits[line.sku].short_percent / 100:
            came = line.ordered - lacking
            text = f"Line {line.line}: {plain(came)} of {plain(line.ordered)} {line.sku} came; {plain(lacking)} are missing."
            amount = money(lacking * line.unit_cost)
            found.append(Difference(DiscrepancyKind.SHORT, line.sku, plain(line.ordered), plain(came), amount, text))
    return found


def _line_for(one: Arrived, left: Mapping[int, OrderedLine]) -> OrderedLine | None:
    """The line named, when it is for this item."""
    named = left.get(one.order_line or 0)
    return named if named is not None and named.sku == one.sku else None


def _apart(reasons: Mapping[str, Decimal], one: Arrived) -> dict[str, Decimal]:
    return {why: quantity for why, quantity in {**reasons, "damaged": one.damaged}.items() if quantity}


def _not_for_the_shelf(one: Arrived) -> str | None:
    """Why good goods wait apart all the same."""
    if not one.compliant:
        return "compliance"
    if one.lot_required and not one.lot:
        return "lot_missing"
    return "quality_check" if one.quality_check else None


def _condition(one: Arrived) -> list[Difference]:
    found = []
    if one.damaged:
        text = f"{plain(one.damaged)} of {plain(one.quantity)} {one.sku} are damaged."
        amount = money(one.damaged * one.unit_cost)
        found.append(Difference(DiscrepancyKind.DAMAGED, one.sku, "0", plain(one.damaged), amount, text))
    if not one.compliant or (one.lot_required and not one.lot):
        what = "does not comply" if not one.compliant else "came without a lot number"
        amount = money((one.quantity - one.damaged) * one.unit_cost)
        text = f"{plain(one.quantity)} {one.sku} {what}; it is set apart."
        found.append(Difference(DiscrepancyKind.COMPLIANCE, one.sku, "compliant", what, amount, text))
    return found


def _over(one: Arrived, line: OrderedLine, over: Decimal, room: Decimal) -> Difference:
    text = f"{plain(over)} {one.sku} more than ordered came; they are set apart."
    expected, actual = plain(max(room, ZERO)), plain(one.quantity)
    return Difference(DiscrepancyKind.OVER, one.sku, expected, actual, money(over * line.unit_cost), text)


def _unordered(one: Arrived, *, open_order: bool) -> Difference:
    why = "was not ordered" if open_order else "came for an order that has ended"
    text = f"{plain(one.quantity)} {one.sku} {why}; it is set apart."
    amount = money(one.quantity * one.unit_cost)
    return Difference(DiscrepancyKind.UNORDERED, one.sku, "0", plain(one.quantity), amount, text)
