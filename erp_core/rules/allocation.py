"""Who gets scarce stock: waiting orders ranked by policy, and what each may have. Values in, values out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from erp_core.policy import AllocationPolicy

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Waiting:
    """An order line that lacks stock, in base units, with what ranks its order."""

    order: str
    line: int
    warehouse: str
    sku: str
    need: Decimal
    tier: str
    partial: bool
    expedited: bool
    requested_date: date | None
    ordered_at: datetime
    margin_percent: Decimal


@dataclass(frozen=True, slots=True)
class Grant:
    """What a line may have now."""

    order: str
    line: int
    warehouse: str
    sku: str
    quantity: Decimal


def score(line: Waiting, policy: AllocationPolicy, today: date) -> Decimal:
    """Weight of a line: the customer's tier, days late, expedited, margin."""
    late = max((today - line.requested_date).days, 0) if line.requested_date else 0
    weight = policy.tier_weight.get(line.tier, 0) + late * policy.late_weight_per_day
    weight += policy.expedited_weight if line.expedited else 0
    return weight + line.margin_percent * policy.margin_weight_per_percent


def rank(waiting: Sequence[Waiting], policy: AllocationPolicy, today: date) -> list[list[Waiting]]:
    """Orders with their waiting lines, first to be served first: the best line speaks for its order, then the older order."""
    by_order: dict[str, list[Waiting]] = {}
    for line in waiting:
        by_order.setdefault(line.order, []).append(line)
    scored = [(max(score(x, policy, today) for x in lines), lines) for lines in by_order.values()]
    scored.sort(key=lambda s: (-s[0], s[1][0].ordered_at, s[1][0].order))
    return [sorted(lines, key=lambda x: x.line) for _, lines in scored]


def grant(
    waiting: Sequence[Waiting], free: Mapping[tuple[str, str], Decimal], policy: AllocationPolicy, today: date
) -> list[Grant]:
    """Serve orders in rank. An order that takes no part deliveries gets all that it lacks or leaves it to the next."""
    left = dict(free)
    granted: list[Grant] = []
    for lines in rank(waiting, policy, today):
        offered = _offer(lines, left)
        if not lines[0].partial and any(q < x.need for x, q in zip(lines, offered, strict=True)):
            continue
        for line, quantity in zip(lines, offered, strict=True):
            if quantity > 0:
                left[line.warehouse, line.sku] -= quantity
                granted.append(Grant(line.order, line.line, line.warehouse, line.sku, quantity))
    return granted


def _offer(lines: Sequence[Waiting], left: Mapping[tuple[str, str], Decimal]) -> list[Decimal]:
    """What each line could have, two lines of one item sharing what is there."""
    taken: dict[tuple[str, str], Decimal] = {}
    offered = []
    for line in lines:
        place = (line.warehouse, line.sku)
        quantity = min(line.need, max(left.get(place, ZERO) - taken.get(place, ZERO), ZERO))
        taken[place] = taken.get(place, ZERO) + quantity
        offered.append(quantity)
    return offered
