"""Orders that were entered before: under the same customer PO, or for nearly the same goods. Values in, values out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from decimal import Decimal

from erp_core.policy import Policy
from erp_core.rules.picture import ZERO, Draft, Earlier, Picture


def twins(draft: Draft, own: Mapping[str, Decimal], picture: Picture, policy: Policy) -> tuple[list[str], list[str]]:
    """Orders under the same customer PO, and orders for nearly the same goods, each within its window before this one."""
    rules = policy.orders
    same = []
    if draft.customer_po:
        known = picture.pos.get((draft.customer, draft.customer_po.lower()), ())
        same = [e.number for e in known if _before(e, draft, rules.duplicate_days)]
    near = picture.baskets.get((draft.customer, draft.basket), ())
    similar = [
        e.number
        for e in near
        if _before(e, draft, rules.similar_days) and _close(own, e.quantities, rules.similar_percent)
    ]
    return sorted(same), sorted(similar)


def quantities(lines: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    """Base quantity of each item over (sku, quantity) pairs."""
    summed: dict[str, Decimal] = {}
    for sku, quantity in lines:
        summed[sku] = summed.get(sku, ZERO) + quantity
    return summed


def _before(earlier: Earlier, draft: Draft, days: int) -> bool:
    if earlier.number == draft.number or earlier.ordered_at > draft.ordered_at:
        return False
    return earlier.ordered_at >= draft.ordered_at - timedelta(days=days)


def _close(own: Mapping[str, Decimal], other: Mapping[str, Decimal], percent: Decimal) -> bool:
    return own.keys() == other.keys() and all(abs(q - other[sku]) * 100 <= q * percent for sku, q in own.items())
