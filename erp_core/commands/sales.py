"""Orders and their holds."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import Field, model_validator

from erp_core.commands.base import Amount, Code, Quantity, Sentence, Strict, Uom
from erp_core.values import HoldReason


class NewLine(Strict):
    """A line to order; without a price the agreement or list price applies."""

    sku: Code
    quantity: Annotated[Quantity, Field(gt=0)]
    uom: Uom = "EA"
    unit_price: Amount | None = None


class PlaceOrder(Strict):
    """Enter a sales order. Problems become holds and cases; they do not refuse it."""

    type: Literal["place_order"] = "place_order"
    customer: Code
    channel: Literal["email", "edi", "portal", "sales_rep", "ecommerce"] = "email"
    customer_po: str | None = Field(None, max_length=64)
    number: str | None = Field(None, max_length=64)
    ordered_at: datetime | None = None
    requested_date: date | None = None
    warehouse: str | None = None
    ship_to: Sentence | None = None
    ship_to_country: str | None = Field(None, pattern=r"^[A-Z]{2}$")
    payment_terms_days: Annotated[int, Field(ge=0, le=365)] | None = None
    lines: Annotated[list[NewLine], Field(min_length=1, max_length=500)]


class LineChange(Strict):
    """The new state of a line: `line` names it, or `sku` adds one. Quantity 0 removes it; `reprice` takes the agreed or list price."""

    line: Annotated[int, Field(ge=1)] | None = None
    sku: Code | None = None
    quantity: Quantity | None = None
    uom: Uom | None = None
    requested_date: date | None = None
    reprice: bool | None = None

    @model_validator(mode="after")
    def _names_a_line(self) -> LineChange:
        if self.line is None and (self.sku is None or not self.quantity):
            raise ValueError("name an existing line, or a sku and a quantity to add one")
        if self.line is not None and self.quantity is None and self.requested_date is None and not self.reprice:
            raise ValueError("say the new quantity, the new date or the price of the line")
        return self


class AmendOrder(Strict):
    """Change quantities, dates, lines or the delivery address of an order that has not shipped."""

    type: Literal["amend_order"] = "amend_order"
    order: Code
    changes: Annotated[list[LineChange], Field(max_length=100)] = []
    requested_date: date | None = None
    ship_to: Sentence | None = None

    @model_validator(mode="after")
    def _says_something(self) -> AmendOrder:
        if not self.changes and self.requested_date is None and self.ship_to is None:
            raise ValueError("an amendment changes at least one thing")
        return self

    @property
    def only_reprices(self) -> bool:
        """Whether nothing changes but that lines take our price."""
        others = (c.quantity is not None or c.requested_date is not None or c.uom is not None for c in self.changes)
        return bool(self.changes) and not any(others) and self.requested_date is None and self.ship_to is None


class CancelOrder(Strict):
    """Cancel an order before it ships."""

    type: Literal["cancel_order"] = "cancel_order"
    order: Code
    reason: Sentence = ""


class ExpediteOrder(Strict):
    """Put an order ahead of its turn, by a date if one was said."""

    type: Literal["expedite_order"] = "expedite_order"
    order: Code
    needed_by: date | None = None
    cost: Amount | None = None
    note: Sentence = ""


class SubstituteItem(Strict):
    """Deliver another item on a line, at the price of the line."""

    type: Literal["substitute_item"] = "substitute_item"
    order: Code
    line: Annotated[int, Field(ge=1)]
    substitute_sku: Code
    customer_agreed: bool = False


class DeclineSubstitution(Strict):
    """Write down that the customer waits for the item ordered."""

    type: Literal["decline_substitution"] = "decline_substitution"
    order: Code
    line: Annotated[int, Field(ge=1)] | None = None
    note: Sentence = ""


class PlaceHold(Strict):
    """Stop an order, or one line of it."""

    type: Literal["place_hold"] = "place_hold"
    order: Code
    line: Annotated[int, Field(ge=1)] | None = None
    reason: HoldReason
    note: Sentence = ""


class ReleaseHold(Strict):
    """Let an order, or one line of it, go on."""

    type: Literal["release_hold"] = "release_hold"
    order: Code
    line: Annotated[int, Field(ge=1)] | None = None
    reason: HoldReason
    note: Sentence = ""


class PromiseDate(Strict):
    """Write down the date promised to the customer."""

    type: Literal["promise_date"] = "promise_date"
    order: Code
    promised_date: date


class RequestChange(Strict):
    """Ask whoever has the goods for a change that can no longer simply be made."""

    type: Literal["request_change"] = "request_change"
    change: AmendOrder | CancelOrder = Field(discriminator="type")
    note: Sentence = ""
