"""What warehouses and carriers report, and what is done about stock."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, Field

from erp_core.commands.base import Code, Quantity, Sentence, Strict, each_line_once


class HandledLine(Strict):
    """A line of an order as handled, in base units."""

    line: Annotated[int, Field(ge=1)]
    quantity: Quantity


class ConfirmPick(Strict):
    """The warehouse took the goods of a released order from the shelf."""

    type: Literal["confirm_pick"] = "confirm_pick"
    order: Code
    warehouse: Code
    occurred_at: AwareDatetime


class ConfirmPack(Strict):
    """The warehouse packed a picked order."""

    type: Literal["confirm_pack"] = "confirm_pack"
    order: Code
    warehouse: Code
    occurred_at: AwareDatetime


class ReturnToShelf(Strict):
    """The warehouse put the goods of a picked order back, so that the order can be changed."""

    type: Literal["return_to_shelf"] = "return_to_shelf"
    order: Code
    warehouse: Code
    occurred_at: AwareDatetime


class ConfirmShipment(Strict):
    """Goods left, and the invoice is made. With the `last` shipment what was released and did not leave is missing."""

    type: Literal["confirm_shipment"] = "confirm_shipment"
    shipment: Code
    order: Code
    warehouse: Code
    lines: Annotated[list[HandledLine], Field(min_length=1, max_length=500), AfterValidator(each_line_once)]
    carrier: str | None = Field(None, max_length=64)
    tracking: str | None = Field(None, max_length=64)
    last: bool = True
    occurred_at: AwareDatetime


class ConfirmDelivery(Strict):
    """The carrier delivered a shipment. May come before the shipment itself: then it waits for it."""

    type: Literal["confirm_delivery"] = "confirm_delivery"
    shipment: Code
    occurred_at: AwareDatetime


class ReportDelay(Strict):
    """The carrier will be late with a shipment, or failed."""

    type: Literal["report_delay"] = "report_delay"
    shipment: Code
    expected_at: AwareDatetime | None = None
    reason: Sentence = ""


class ReportCount(Strict):
    """A warehouse counted an item. A difference is a case; what is missing can no longer be promised."""

    type: Literal["report_count"] = "report_count"
    warehouse: Code
    sku: Code
    counted: Quantity
    occurred_at: AwareDatetime


class AdjustStock(Strict):
    """Set the quantity on hand to what was counted, and give held stock free."""

    type: Literal["adjust_stock"] = "adjust_stock"
    warehouse: Code
    sku: Code
    on_hand: Quantity
    reason: Annotated[Sentence, Field(min_length=3)]


class RunBackorders(Strict):
    """Give stock to waiting orders, in the order that policy ranks them."""

    type: Literal["run_backorders"] = "run_backorders"
    warehouse: Code | None = None
    skus: Annotated[list[Code], Field(max_length=5000)] = []


class Reallocate(Strict):
    """Move bound stock from one order's line to another's line for the same item."""

    type: Literal["reallocate"] = "reallocate"
    from_order: Code
    from_line: Annotated[int, Field(ge=1)]
    order: Code
    line: Annotated[int, Field(ge=1)]
    quantity: Annotated[Quantity, Field(gt=0)]
    reason: Annotated[Sentence, Field(min_length=3)]
