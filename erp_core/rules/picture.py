"""What is read for a batch of orders before they are decided: values, keyed as they are looked up."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from erp_core.rules.catalog import Agreement, ItemFacts

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class DraftLine:
    """A line as asked for; without a price the hierarchy's price applies, per `uom`. One entered before brings its `quantity_base`."""

    line: int
    sku: str
    quantity: Decimal
    uom: str
    unit_price: Decimal | None = None
    requested_date: date | None = None
    quantity_allocated: Decimal = ZERO
    quantity_shipped: Decimal = ZERO
    quantity_invoiced: Decimal = ZERO
    quantity_base: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """An order as asked for. `own_value` is what it adds to the customer's open orders already."""

    number: str
    customer: str
    channel: str
    ordered_at: datetime
    lines: Sequence[DraftLine]
    customer_po: str | None = None
    requested_date: date | None = None
    warehouse: str | None = None
    ship_to: str | None = None
    ship_to_country: str | None = None
    payment_terms_days: int | None = None
    own_value: Decimal = ZERO

    def address_country(self, known: Mapping[str, str]) -> str | None:
        """The country of the customer's own address that is meant; None when it is none of them."""
        return known.get(" ".join(str(self.ship_to).lower().split()))

    @property
    def basket(self) -> str:
        """Digest of the items, whatever their quantities."""
        return hashlib.sha256("\n".join(sorted({x.sku for x in self.lines})).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class CustomerFacts:
    """A customer as stored, with the country of our firm that sells to it."""

    code: str
    entity: str
    status: str
    tier: str
    currency: str
    country: str
    home_country: str
    terms_days: int
    credit_limit: Decimal
    limit_expires: date | None
    terms_changed_on: date | None
    discount_changed_on: date | None
    discount_percent: Decimal
    rebate_percent: Decimal
    credit_excluded: bool
    standing: str
    owed_elsewhere: Decimal
    tax_exempt: bool
    ships_partial: bool
    delivery: Mapping[str, Any]


@dataclass(slots=True)
class Account:
    """A customer's running figures, which grow while a batch is decided."""

    open_orders: Decimal = ZERO
    order_count: int = 0
    order_value: Decimal = ZERO
    last_warehouse: str | None = None
    unpaid: Decimal = ZERO
    overdue: Decimal = ZERO
    oldest_due: date | None = None


@dataclass(slots=True)
class Usual:
    """Orders of one item by one customer so far, and their quantity in base units."""

    orders: int
    quantity: Decimal


@dataclass(slots=True)
class WarehouseFacts:
    """A warehouse with the number of released orders it works on."""

    code: str
    entity: str
    country: str
    capacity: int | None
    load: int


@dataclass(frozen=True, slots=True)
class Earlier:
    """An order of the customer before this one: when, and how much of each item."""

    number: str
    ordered_at: datetime
    quantities: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass
class Picture:
    """Everything that deciding a batch of drafts looks at, keyed as it is looked up."""

    customers: dict[str, CustomerFacts] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)
    items: dict[str, ItemFacts] = field(default_factory=dict)
    contracts: dict[tuple[str, str], list[Agreement]] = field(default_factory=dict)
    tiers: dict[tuple[str, str], list[Agreement]] = field(default_factory=dict)
    usual: dict[tuple[str, str], Usual] = field(default_factory=dict)
    pos: dict[tuple[str, str], list[Earlier]] = field(default_factory=dict)
    baskets: dict[tuple[str, str], list[Earlier]] = field(default_factory=dict)
    warehouses: dict[str, WarehouseFacts] = field(default_factory=dict)
    free: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    numbers: set[str] = field(default_factory=set)
    addresses: dict[str, dict[str, str]] = field(default_factory=dict)
