"""Master data: customers, items, prices. Each domain has its steward."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, model_validator

from erp_core.commands.base import Amount, Code, Country, Quantity, Strict, Uom

Percent = Annotated[Amount, Field(le=100)]


class UpdateContact(Strict):
    """Add or change a person at a customer, found by e-mail address."""

    type: Literal["update_contact"] = "update_contact"
    customer: Code
    email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$", max_length=254)]
    name: Code
    role: str | None = Field(None, max_length=64)
    phone: str | None = Field(None, max_length=40)


class UpdateShipTo(Strict):
    """Add or change a delivery address of a customer, found by its name."""

    type: Literal["update_ship_to"] = "update_ship_to"
    customer: Code
    name: Code
    address: Annotated[str, Field(min_length=3, max_length=400)]
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] = "US"


class DeliveryWishes(Strict):
    """What a customer wants of its deliveries; an order against it is held. What is not said stays; an empty list, or nothing as the smallest
    order, ends the wish. `weekdays`: 1 is Monday."""

    weekdays: list[Annotated[int, Field(ge=1, le=7)]] | None = Field(None, max_length=7)
    countries: list[Country] | None = Field(None, max_length=50)
    smallest_order: Amount | None = None
    no_hazmat: bool | None = None


class SaveCustomer(Strict):
    """Add a customer, or change what is said of it. A new one starts without credit."""

    type: Literal["save_customer"] = "save_customer"
    customer: Code
    name: str | None = Field(None, min_length=2, max_length=200)
    entity: Code | None = None
    tier: Literal["A", "B", "C"] | None = None
    segment: str | None = Field(None, max_length=64)
    currency: str | None = Field(None, pattern=r"^[A-Z]{3}$")
    country: Country | None = None
    email_domain: str | None = Field(None, max_length=254)
    status: Literal["active", "blocked"] | None = None
    ships_partial: bool | None = None
    tax_exempt: bool | None = None
    rebate_percent: Percent | None = None
    delivery: DeliveryWishes | None = None
    steward: str | None = Field(None, max_length=254)


class SetTerms(Strict):
    """Change a customer's payment terms or discount; credit control looks at its orders for a while."""

    type: Literal["set_terms"] = "set_terms"
    customer: Code
    payment_terms_days: Annotated[int, Field(ge=0, le=365)] | None = None
    discount_percent: Percent | None = None


class SetCreditLimit(Strict):
    """Change how much a customer may owe us, and until when that holds."""

    type: Literal["set_credit_limit"] = "set_credit_limit"
    customer: Code
    credit_limit: Amount
    expires: date | None = None
    excluded: bool | None = None


class SetBankAccount(Strict):
    """Change where a customer's refunds go."""

    type: Literal["set_bank_account"] = "set_bank_account"
    customer: Code
    iban: Annotated[str, Field(pattern=r"^[A-Z0-9 ]{8,40}$")]


class SaveItem(Strict):
    """Add an item, or change what is said of it: also whether it must come with a lot number, or be checked before it is stock."""

    type: Literal["save_item"] = "save_item"
    sku: Code
    name: str | None = Field(None, min_length=2, max_length=200)
    uom: Uom | None = None
    units_per_case: Annotated[Quantity, Field(gt=0)] | None = None
    category: str | None = Field(None, max_length=64)
    list_price: Amount | None = None
    unit_cost: Amount | None = None
    export_class: str | None = Field(None, max_length=32)
    hazmat: bool | None = None
    lot_required: bool | None = None
    quality_check: bool | None = None
    status: Literal["active", "discontinued"] | None = None


class SetUnit(Strict):
    """One of this unit holds exactly so many base units: numerator / denominator."""

    type: Literal["set_unit"] = "set_unit"
    sku: Code
    uom: Uom
    numerator: Annotated[int, Field(ge=1, le=1_000_000)]
    denominator: Annotated[int, Field(ge=1, le=1_000_000)] = 1


class SetPrice(Strict):
    """Agree a price: for one customer, or for a tier of customers, from a quantity on."""

    type: Literal["set_price"] = "set_price"
    customer: Code | None = None
    tier: Literal["A", "B", "C"] | None = None
    sku: Code
    min_quantity: Quantity = Field(default_factory=lambda: Decimal(1))
    unit_price: Annotated[Amount, Field(gt=0)]
    valid_from: date
    valid_to: date | None = None

    @model_validator(mode="after")
    def _for_one_or_a_tier(self) -> SetPrice:
        if (self.customer is None) == (self.tier is None):
            raise ValueError("name a customer or a tier, not both")
        if self.valid_to is not None and self.valid_to < self.valid_from:
            raise ValueError("valid_to comes before valid_from")
        return self


class SetCapacity(Strict):
    """How many released orders a warehouse can work on at once; none says without limit."""

    type: Literal["set_capacity"] = "set_capacity"
    warehouse: Code
    capacity: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
