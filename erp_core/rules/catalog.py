"""Units and prices of items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction

CASE_UNITS = frozenset({"CS", "CA", "CT", "CTN"})
BOX_UNITS = frozenset({"BX", "BOX"})
EACH_UNITS = frozenset({"EA", "PC", "PCS", "PR"})
THOUSANDTH = Decimal("0.001")


@dataclass(frozen=True, slots=True)
class ItemFacts:
    """What the rules need to know of an item. Prices and cost are per base unit `uom`; `units` are further ones in base units."""

    sku: str
    name: str
    uom: str
    units_per_case: Decimal
    list_price: Decimal
    unit_cost: Decimal
    export_class: str | None
    status: str
    hazmat: bool = False
    units: Mapping[str, Fraction] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Agreement:
    """An agreed price from a quantity on, valid inclusive of both dates."""

    min_quantity: Decimal
    unit_price: Decimal
    valid_from: date
    valid_to: date | None


def to_base(quantity: Decimal, uom: str, item: ItemFacts) -> Decimal | None:
    """Quantity in the item's base unit, exactly; None when the unit is not one of this item's or the result has no exact thousandth.

    A unit kept for the item comes first. Else a case holds `units_per_case` base units; a box of an item counted singly is
    its case; an item counted by the case takes box and case as the same.
    """
    if uom == item.uom:
        return quantity
    ratio = item.units.get(uom)
    if ratio is not None:
        exact = Fraction(quantity) * ratio
        rounded = (Decimal(exact.numerator) / Decimal(exact.denominator)).quantize(THOUSANDTH)
        return rounded if Fraction(rounded) == exact else None
    if {uom, item.uom} <= EACH_UNITS:
        return quantity
    if uom in CASE_UNITS | BOX_UNITS and item.uom in CASE_UNITS:
        return quantity
    if uom in CASE_UNITS or (uom in BOX_UNITS and item.uom in EACH_UNITS):
        base = quantity * item.units_per_case
        return base if base == base.quantize(THOUSANDTH) else None
    return None


def agreed_price(agreements: Sequence[Agreement], quantity: Decimal, on: date) -> Agreement | None:
    """The agreement in force on a day with the highest quantity break that `quantity` reaches."""
    reached = [
        a
        for a in agreements
        if a.min_quantity <= quantity and a.valid_from <= on and (a.valid_to is None or on <= a.valid_to)
    ]
    return max(reached, key=lambda a: (a.min_quantity, a.valid_from), default=None)


@dataclass(frozen=True, slots=True)
class PriceFound:
    """A price per base unit, and where in the hierarchy it comes from: `agreed`, `tier` or `list`."""

    unit_price: Decimal
    source: str


def find_price(
    item: ItemFacts,
    contract: Sequence[Agreement],
    tier: Sequence[Agreement],
    discount_percent: Decimal,
    quantity: Decimal,
    on: date,
) -> PriceFound:
    """One hierarchy for all: the customer's contract, then the price of its tier, then the list less the customer's discount."""
    if contract and (agreed := agreed_price(contract, quantity, on)) is not None:
        return PriceFound(agreed.unit_price, "agreed")
    if tier and (of_tier := agreed_price(tier, quantity, on)) is not None:
        return PriceFound(of_tier.unit_price, "tier")
    if discount_percent:
        return PriceFound((item.list_price * (100 - discount_percent) / 100).quantize(Decimal("0.0001")), "list")
    return PriceFound(item.list_price, "list")


def price_for(item: ItemFacts, agreements: Sequence[Agreement], quantity: Decimal, on: date) -> Decimal:
    """The agreed price, or the list price without an agreement; per base unit."""
    return find_price(item, agreements, (), Decimal(0), quantity, on).unit_price
