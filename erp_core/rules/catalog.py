"""Units and prices of items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

CASE_UNITS = frozenset({"CS", "CA", "CT", "CTN"})
BOX_UNITS = frozenset({"BX", "BOX"})
EACH_UNITS = frozenset({"EA", "PC", "PCS", "PR"})


@dataclass(frozen=True)
class ItemFacts:
    """What the rules need to know of an item. Prices and cost are per base unit `uom`."""

    sku: str
    name: str
    uom: str
    units_per_case: Decimal
    list_price: Decimal
    unit_cost: Decimal
    export_class: str | None
    status: str


@dataclass(frozen=True)
class Agreement:
    """An agreed price from a quantity on, valid inclusive of both dates."""

    min_quantity: Decimal
    unit_price: Decimal
    valid_from: date
    valid_to: date | None


def to_base(quantity: Decimal, uom: str, item: ItemFacts) -> Decimal | None:
    """Quantity in the item's base unit; None when the unit is not one of this item's.

    A case holds `units_per_case` base units. A box of an item counted singly is its case; an item counted by the
    case takes box and case as the same.
    """
    if uom == item.uom or {uom, item.uom} <= EACH_UNITS:
        return quantity
    if uom in CASE_UNITS | BOX_UNITS and item.uom in CASE_UNITS:
        return quantity
    if uom in CASE_UNITS or (uom in BOX_UNITS and item.uom in EACH_UNITS):
        return quantity * item.units_per_case
    return None


def agreed_price(agreements: Sequence[Agreement], quantity: Decimal, on: date) -> Agreement | None:
    """The agreement in force on a day with the highest quantity break that `quantity` reaches."""
    reached = [
        a
        for a in agreements
        if a.min_quantity <= quantity and a.valid_from <= on and (a.valid_to is None or on <= a.valid_to)
    ]
    return max(reached, key=lambda a: (a.min_quantity, a.valid_from), default=None)


def price_for(item: ItemFacts, agreements: Sequence[Agreement], quantity: Decimal, on: date) -> Decimal:
    """The agreed price, or the list price without an agreement; per base unit."""
    agreed = agreed_price(agreements, quantity, on)
    return agreed.unit_price if agreed else item.list_price
