"""Supply against demand: when each waiting line is covered, what a change hurts, what else could be done, what to buy. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_CEILING, Decimal

from erp_core.policy import AllocationPolicy, SupplyPolicy
from erp_core.rules.allocation import Waiting, rank
from erp_core.rules.stock import Inbound, coming
from erp_core.values import money, plain

ZERO = Decimal(0)
Key = tuple[str, int]


def cover(
    waiting: Sequence[Waiting],
    free: Decimal,
    inbound: Sequence[Inbound],
    policy: AllocationPolicy,
    today: date,
    late_days: int = 0,
) -> dict[Key, date | None]:
    """The day each waiting line of one item and warehouse is covered, served in the rank of allocation; None: not by what is known."""
    supply = [(today, max(free, ZERO)), *coming(inbound, today, late_days)]
    found: dict[Key, date | None] = {}
    position, left = 0, supply[0][1]
    for line in (x for lines in rank(waiting, policy, today) for x in lines):
        need = line.need
        while left < need and position + 1 < len(supply):
            position += 1
            left += supply[position][1]
        covered = left >= need
        found[line.order, line.line] = supply[position][0] if covered else None
        left = left - need if covered else ZERO
    return found


@dataclass(frozen=True, slots=True)
class Hurt:
    """A waiting line that a change of supply makes later: before and after (None: no day known)."""

    order: str
    line: int
    before: date | None
    after: date | None


def hurt(before: Mapping[Key, date | None], after: Mapping[Key, date | None]) -> list[Hurt]:
    """Lines that still wait and are covered later than before, or no more; in the order they were served."""
    return [
        Hurt(order, line, was, now)
        for (order, line), was in before.items()
        if was is not None and (order, line) in after and ((now := after[order, line]) is None or now > was)
    ]


@dataclass(frozen=True, slots=True)
class Option:
    """Something that could be done about missing goods: how much of them, what it costs, and when it would be there."""

    kind: str
    what: str
    quantity: Decimal
    cost: Decimal
    day: date | None
    facts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Free stock of the item at another of our warehouses."""

    warehouse: str
    free: Decimal
    intercompany: bool


@dataclass(frozen=True, slots=True)
class Instead:
    """A permitted substitute with what is free of it at the warehouse, and both items' costs."""

    sku: str
    free: Decimal
    unit_cost: Decimal
    must_ask: bool


@dataclass(frozen=True, slots=True)
class OtherSource:
    """Another supplier of the item."""

    supplier: str
    unit_cost: Decimal
    lead_days: int


def options(
    sku: str,
    missing: Decimal,
    unit_cost: Decimal,
    elsewhere: Sequence[Elsewhere],
    instead: Sequence[Instead],
    sources: Sequence[OtherSource],
    policy: SupplyPolicy,
    today: date,
) -> list[Option]:
    """What can be done about `missing` of an item, cheapest first; cost is what it costs beyond buying the goods as ordered."""
    found = []
    for other in elsewhere:
        quantity = min(other.free, missing)
        if quantity > 0:
            facts = {"source": other.warehouse, "intercompany": str(other.intercompany).lower()}
            cost = transfer_cost(quantity * unit_cost, policy)
            words = f"transfer {plain(quantity)} from {other.warehouse}"
            day = today + timedelta(days=policy.transfer_days)
            found.append(Option("transfer", words, quantity, cost, day, facts))
    for item in instead:
        quantity = min(item.free, missing)
        if quantity > 0:
            facts = {"sku": item.sku, "must_ask": str(item.must_ask).lower()}
            cost = money(max(item.unit_cost - unit_cost, ZERO) * quantity)
            ask = ", the customer must agree" if item.must_ask else ""
            found.append(
                Option("substitute", f"send {plain(quantity)} {item.sku} instead{ask}", quantity, cost, today, facts)
            )
    for source in sources:
        cost = money(max(source.unit_cost - unit_cost, ZERO) * missing)
        day = today + timedelta(days=source.lead_days)
        words = f"buy {plain(missing)} from {source.supplier}"
        found.append(Option("buy", words, missing, cost, day, {"supplier": source.supplier}))
    haste = money(missing * unit_cost * policy.expedite_percent / 100)
    found.append(Option("expedite", f"have the supplier hurry with {plain(missing)} {sku}", missing, haste, None, {}))
    return sorted(found, key=lambda o: (o.quantity < missing, o.cost, o.kind, o.what))


def transfer_cost(value: Decimal, policy: SupplyPolicy) -> Decimal:
    """What a transfer of goods of this value costs."""
    return money(policy.transfer_cost + value * policy.transfer_percent / 100)


@dataclass(frozen=True, slots=True)
class Demand:
    """What moves an item at a warehouse, in base units: sales a day with their spread, what is there, waits and is on its way."""

    daily: Decimal
    spread: Decimal
    free: Decimal
    waiting: Decimal
    inbound: Decimal
    lead_days: int
    lead_spread: Decimal
    pack_size: Decimal
    minimum: Decimal


def reorder_point(demand: Demand, policy: SupplyPolicy) -> Decimal:
    """Stock below which to buy, in whole units: demand over the lead time, and safety for the spread of demand and of lead time."""
    safety = (demand.lead_days * demand.spread**2 + (demand.daily * demand.lead_spread) ** 2).sqrt()
    point = demand.lead_days * demand.daily + policy.safety_factor * safety
    return point.to_integral_value(rounding=ROUND_CEILING)


def to_buy(demand: Demand, policy: SupplyPolicy) -> Decimal:
    """How much to buy now: up to the reorder point and the next review, in whole packs, at least the smallest quantity; 0: nothing."""
    position = demand.free + demand.inbound - demand.waiting
    point = reorder_point(demand, policy)
    if position > point or (demand.daily == 0 and demand.waiting <= demand.free + demand.inbound):
        return ZERO
    wanted = point + demand.daily * policy.review_days - position
    if wanted <= 0:
        return ZERO
    packs = (max(wanted, demand.minimum) / demand.pack_size).to_integral_value(rounding=ROUND_CEILING)
    return packs * demand.pack_size
