"""Buying: purchase orders, what arrives, what is billed, and the suppliers themselves."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, Field, model_validator

from erp_core.commands.base import Amount, Code, Quantity, Sentence, Strict, Uom, each_line_once
from erp_core.values import QuarantineOutcome

Reason = Annotated[Sentence, Field(min_length=3)]
Percent = Annotated[Amount, Field(le=1000)]


class BuyLine(Strict):
    """An item to buy, in base units; without a cost that of its source or of the item applies."""

    sku: Code
    quantity: Annotated[Quantity, Field(gt=0)]
    unit_cost: Amount | None = None


class DraftPurchase(Strict):
    """Write a purchase order. It buys nothing until somebody else approves it."""

    type: Literal["draft_purchase"] = "draft_purchase"
    supplier: Code
    warehouse: Code
    lines: Annotated[list[BuyLine], Field(min_length=1, max_length=500)]
    expected_date: date | None = None
    reason: Reason


class ApprovePurchase(Strict):
    """Let a purchase order be sent. Not by who wrote it, nor by who last changed the supplier."""

    type: Literal["approve_purchase"] = "approve_purchase"
    purchase_order: Code


class SendPurchase(Strict):
    """Send an approved purchase order to its supplier."""

    type: Literal["send_purchase"] = "send_purchase"
    purchase_order: Code


class AcknowledgePurchase(Strict):
    """The supplier confirms a purchase order, perhaps for another day."""

    type: Literal["acknowledge_purchase"] = "acknowledge_purchase"
    purchase_order: Code
    expected_date: date | None = None


class UpdateExpectedDate(Strict):
    """Goods will come on another day: the whole order, or one line of it. Promises that this hurts become cases."""

    type: Literal["update_expected_date"] = "update_expected_date"
    purchase_order: Code
    line: Annotated[int, Field(ge=1)] | None = None
    expected_date: date
    reason: Sentence = ""


class BuyChange(Strict):
    """The new quantity or cost of a line; quantity 0 says that nothing more of it will come."""

    line: Annotated[int, Field(ge=1)]
    quantity: Quantity | None = None
    unit_cost: Amount | None = None

    @model_validator(mode="after")
    def _says_something(self) -> BuyChange:
        if self.quantity is None and self.unit_cost is None:
            raise ValueError("say the new quantity or the new cost")
        return self


class AmendPurchase(Strict):
    """Change what is bought: a supplier delivers less, asks for more money, or stops making it."""

    type: Literal["amend_purchase"] = "amend_purchase"
    purchase_order: Code
    changes: Annotated[list[BuyChange], Field(min_length=1, max_length=100), AfterValidator(each_line_once)]
    reason: Reason


class CancelPurchase(Strict):
    """Cancel a purchase order of which nothing has come, or end one of which nothing more will come."""

    type: Literal["cancel_purchase"] = "cancel_purchase"
    purchase_order: Code
    reason: Reason


class ArrivedLine(Strict):
    """One item at the dock as counted, by `uom` (the base unit unless said), `damaged` included in `quantity`."""

    line: Annotated[int, Field(ge=1)] | None = None
    sku: Code
    quantity: Annotated[Quantity, Field(gt=0)]
    uom: Uom | None = None
    damaged: Quantity = Decimal(0)
    lot: str | None = Field(None, max_length=64)
    compliant: bool = True

    @model_validator(mode="after")
    def _damaged_is_part_of_it(self) -> ArrivedLine:
        if self.damaged > self.quantity:
            raise ValueError("more is damaged than came")
        return self


class ReceiveGoods(Strict):
    """Goods are at the dock. With the `last` receipt of an order what did not come is missing."""

    type: Literal["receive_goods"] = "receive_goods"
    receipt: Code
    warehouse: Code
    purchase_order: Code | None = None
    lines: Annotated[list[ArrivedLine], Field(min_length=1, max_length=500)]
    last: bool = False
    occurred_at: AwareDatetime


class PutAway(Strict):
    """The goods of a receipt are in their places."""

    type: Literal["put_away"] = "put_away"
    receipt: Code
    occurred_at: AwareDatetime


class SettleQuarantine(Strict):
    """Decide on goods set apart: let them in, scrap them, or give them back to the supplier."""

    type: Literal["settle_quarantine"] = "settle_quarantine"
    quarantined: int
    outcome: QuarantineOutcome
    note: Reason


class BilledLine(Strict):
    """One item of a supplier's invoice, in base units, for a line of the purchase order when it says so."""

    order_line: Annotated[int, Field(ge=1)] | None = None
    sku: Code
    quantity: Annotated[Quantity, Field(gt=0)]
    unit_price: Amount


class RecordBill(Strict):
    """Record a supplier's invoice; it is matched with order and receipts at once. Tax and charges apart from the lines."""

    type: Literal["record_bill"] = "record_bill"
    supplier: Code
    number: Code
    purchase_order: Code | None = None
    invoiced_at: date
    due_on: date | None = None
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    tax: Amount = Decimal(0)
    charges: Amount = Decimal(0)
    lines: Annotated[list[BilledLine], Field(min_length=1, max_length=500)]


class ApproveMatch(Strict):
    """Accept the differences of a supplier's invoice as they are now. Not by who received the goods."""

    type: Literal["approve_match"] = "approve_match"
    supplier: Code
    bill: Code
    note: Reason


class RejectBill(Strict):
    """Send a supplier's invoice back."""

    type: Literal["reject_bill"] = "reject_bill"
    supplier: Code
    bill: Code
    note: Reason


class ReleasePayment(Strict):
    """Let a supplier's invoice be paid. Not by who accepted its differences."""

    type: Literal["release_payment"] = "release_payment"
    supplier: Code
    bill: Code


class SaveSupplier(Strict):
    """Add a supplier, or change what is said of it."""

    type: Literal["save_supplier"] = "save_supplier"
    supplier: Code
    name: str | None = Field(None, min_length=2, max_length=200)
    lead_time_days: Annotated[int, Field(ge=0, le=730)] | None = None
    risk: Literal["low", "medium", "high"] | None = None
    email: str | None = Field(None, pattern=r"^[^@\s]+@[^@\s]+$", max_length=254)
    email_domain: str | None = Field(None, max_length=254)
    status: Literal["active", "blocked"] | None = None
    three_way: bool | None = None


class SetSource(Strict):
    """Where an item can be bought: cost, pack, smallest quantity and lead time; the lowest priority is asked first."""

    type: Literal["set_source"] = "set_source"
    sku: Code
    supplier: Code
    unit_cost: Annotated[Amount, Field(gt=0)]
    priority: Annotated[int, Field(ge=1, le=99)] = 1
    pack_size: Annotated[Quantity, Field(gt=0)] = Decimal(1)
    minimum_quantity: Quantity = Decimal(0)
    lead_time_days: Annotated[int, Field(ge=0, le=730)] | None = None


class SetTolerance(Strict):
    """How much receipts and invoices may differ for an entity, a supplier or an item; what is left out is as in the wider scope."""

    type: Literal["set_tolerance"] = "set_tolerance"
    scope: Literal["entity", "supplier", "item"]
    key: Code
    short_percent: Percent | None = None
    over_percent: Percent | None = None
    price_percent: Percent | None = None
    amount: Amount | None = None
    block_percent: Percent | None = None
