"""Goods between our own warehouses."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from erp_core.commands.base import Amount, Code, Quantity, Sentence, Strict


class TransferStock(Strict):
    """Bring free stock from one warehouse to another: set aside at once, shipped and received by who does it.

    Between two firms of ours it has a price; left out, it is what the goods cost.
    """

    type: Literal["transfer_stock"] = "transfer_stock"
    source: Code
    target: Code
    sku: Code
    quantity: Annotated[Quantity, Field(gt=0)]
    price: Amount | None = None
    reason: Annotated[Sentence, Field(min_length=3)]


class ShipTransfer(Strict):
    """What was set aside leaves; what was not found stays missing at the source until it is counted."""

    type: Literal["ship_transfer"] = "ship_transfer"
    transfer: Code
    quantity: Annotated[Quantity, Field(gt=0)] | None = None
    occurred_at: AwareDatetime


class ReceiveTransfer(Strict):
    """Transferred goods arrived: all of them, unless said otherwise."""

    type: Literal["receive_transfer"] = "receive_transfer"
    transfer: Code
    quantity: Quantity | None = None
    damaged: Quantity = Decimal(0)
    occurred_at: AwareDatetime


class CancelTransfer(Strict):
    """Put what was set aside back to stock."""

    type: Literal["cancel_transfer"] = "cancel_transfer"
    transfer: Code
    reason: Annotated[Sentence, Field(min_length=3)]
