"""What can be promised and bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal


@dataclass(frozen=True)
class Inbound:
    """Goods on their way to a warehouse, in base units."""

    purchase_order: str
    expected: date | None
    quantity: Decimal


def coming(inbound: Sequence[Inbound], today: date, late_days: int) -> list[tuple[date, Decimal]]:
    """On which days goods are counted on, the first first. What is overdue is late, not lost: it is counted on so many days from today."""
    soon = today + timedelta(days=late_days)
    return sorted((i.expected if i.expected >= today else soon, i.quantity) for i in inbound if i.expected is not None)


def available_to_promise(
    wanted: Decimal,
    free: Decimal,
    inbound: Sequence[Inbound],
    today: date,
    others: Decimal = Decimal(0),
    late_days: int = 0,
) -> tuple[date | None, Decimal]:
    """First day on which `wanted` is covered by free stock and dated inbound, and the quantity covered by then.

    `others` is what other orders wait for: it is served first, for who asks for a promise must be able to rely on it.
    (None, covered) when all that is known does not suffice.
    """
    covered = free - others
    if covered >= wanted:
        return today, wanted
    for day, quantity in coming(inbound, today, late_days):
        covered += quantity
        if covered >= wanted:
            return day, wanted
    return None, max(covered, Decimal(0))
