"""Goods on their way back."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from erp_core.commands.base import Code, Quantity, Sentence, Strict, each_line_once
from erp_core.values import Disposition, ReturnReason


class ReturnedLine(Strict):
    """An order line on its way back, in base units; what becomes of it once it was looked at."""

    line: Annotated[int, Field(ge=1)]
    quantity: Annotated[Quantity, Field(gt=0)]
    disposition: Disposition | None = None


class RequestReturn(Strict):
    """A customer wants to send goods of an order back."""

    type: Literal["request_return"] = "request_return"
    order: Code
    reason: ReturnReason
    lines: Annotated[list[ReturnedLine], Field(min_length=1, max_length=200), AfterValidator(each_line_once)]
    note: Sentence = ""


class AuthoriseReturn(Strict):
    """Let the goods come back."""

    type: Literal["authorise_return"] = "authorise_return"
    return_number: Code


class RefuseReturn(Strict):
    """The goods may not come back."""

    type: Literal["refuse_return"] = "refuse_return"
    return_number: Code
    reason: Annotated[Sentence, Field(min_length=3)]


class ReceiveReturn(Strict):
    """The goods arrived and were looked at: how many, and what becomes of them (by policy, unless said)."""

    type: Literal["receive_return"] = "receive_return"
    return_number: Code
    warehouse: Code
    lines: Annotated[list[ReturnedLine], Field(min_length=1, max_length=200), AfterValidator(each_line_once)]


class CreditReturn(Strict):
    """Give back the money for what was received, less restocking by policy."""

    type: Literal["credit_return"] = "credit_return"
    return_number: Code
