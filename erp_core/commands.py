"""The commands: what may be proposed, signed and executed. One set of types for API, agent, store and evaluation."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from erp_core.values import HoldReason, Priority, Queue

Quantity = Annotated[Decimal, Field(ge=0, le=Decimal("9999999"), decimal_places=3)]
Amount = Annotated[Decimal, Field(ge=0, le=Decimal("999999999"), decimal_places=4)]
Code = Annotated[str, Field(min_length=1, max_length=64)]
Sentence = Annotated[str, Field(max_length=2000)]
Uom = Annotated[str, Field(pattern=r"^[A-Z]{1,6}$")]


class Strict(BaseModel):
    """Unknown fields are errors; a command never carries more than it says."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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
    """The new state of a line: `line` names it, or `sku` adds one. Quantity 0 removes it."""

    line: Annotated[int, Field(ge=1)] | None = None
    sku: Code | None = None
    quantity: Quantity | None = None
    uom: Uom | None = None
    requested_date: date | None = None

    @model_validator(mode="after")
    def _names_a_line(self) -> LineChange:
        if self.line is None and (self.sku is None or not self.quantity):
            raise ValueError("name an existing line, or a sku and a quantity to add one")
        if self.line is not None and self.quantity is None and self.requested_date is None:
            raise ValueError("say the new quantity or the new date of the line")
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
    note: Sentence = ""


class SubstituteItem(Strict):
    """Deliver another item on a line, at the price of the line."""

    type: Literal["substitute_item"] = "substitute_item"
    order: Code
    line: Annotated[int, Field(ge=1)]
    substitute_sku: Code


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


class RecordRemittance(Strict):
    """Write down an announced payment; it is not applied to invoices."""

    type: Literal["record_remittance"] = "record_remittance"
    customer: Code
    reference: Code
    amount: Annotated[Amount, Field(gt=0)]
    paid_on: date | None = None
    invoices: Annotated[list[Code], Field(max_length=200)] = []


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


MatterKind = Literal[
    "delivery_discrepancy",
    "return",
    "price_review",
    "invoice_review",
    "credit_review",
    "inbound_supply",
    "account_update",
    "complaint",
    "security",
    "order_entry",
    "hand_over",
]


class MatterLine(Strict):
    """An item the matter is about; unknown quantities stay unknown."""

    sku: Code
    quantity: Quantity | None = None
    uom: Uom | None = None


class Matter(Strict):
    """What a routed case is about, in typed fields, so that nobody reads the mail twice."""

    kind: MatterKind
    order: str | None = None
    purchase_order: str | None = None
    shipment: str | None = None
    invoices: Annotated[list[str], Field(max_length=50)] = []
    lines: Annotated[list[MatterLine], Field(max_length=200)] = []
    expected_date: date | None = None
    marks: Annotated[list[str], Field(max_length=20)] = []
    note: Sentence = ""


class OpenCase(Strict):
    """Open an exception case."""

    type: Literal["open_case"] = "open_case"
    kind: Code
    subject: Code
    title: Annotated[str, Field(min_length=1, max_length=200)]
    queue: Queue
    priority: Priority = Priority.NORMAL
    customer: str | None = None
    order: str | None = None
    at_stake: Amount | None = None
    details: Annotated[dict[str, object], Field(max_length=50)] = {}


class RouteCase(Strict):
    """Hand a case to the queue that owns its matter."""

    type: Literal["route_case"] = "route_case"
    case: int
    queue: Queue
    priority: Priority
    matter: Matter


class CloseCase(Strict):
    """End a case with a resolution."""

    type: Literal["close_case"] = "close_case"
    case: int
    resolution: Annotated[str, Field(min_length=1, max_length=500)]
    root_cause: str | None = Field(None, max_length=100)


class SendMessage(Strict):
    """Send a mail. It waits in the outbox until the clock delivers it."""

    type: Literal["send_message"] = "send_message"
    case: int | None = None
    to: Annotated[str, Field(pattern=r"^[^@\s,;]+@[^@\s,;]+$", max_length=254)]
    subject: Annotated[str, Field(min_length=1, max_length=300)]
    body: Annotated[str, Field(min_length=1, max_length=20000)]
    in_reply_to: str | None = Field(None, max_length=998)
    invoices: Annotated[list[Code], Field(max_length=20)] = []


Command = Annotated[
    PlaceOrder
    | AmendOrder
    | CancelOrder
    | ExpediteOrder
    | SubstituteItem
    | DeclineSubstitution
    | PlaceHold
    | ReleaseHold
    | PromiseDate
    | RecordRemittance
    | UpdateContact
    | UpdateShipTo
    | OpenCase
    | RouteCase
    | CloseCase
    | SendMessage,
    Field(discriminator="type"),
]
COMMAND: TypeAdapter[Command] = TypeAdapter(Command)
COMMANDS: TypeAdapter[list[Command]] = TypeAdapter(Annotated[list[Command], Field(min_length=1, max_length=3)])
