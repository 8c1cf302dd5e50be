"""Money: invoices, payments, credits."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from erp_core.commands.base import Amount, Code, Sentence, Strict


class RecordRemittance(Strict):
    """Write down an announced payment; it is not applied to invoices."""

    type: Literal["record_remittance"] = "record_remittance"
    customer: Code
    reference: Code
    amount: Annotated[Amount, Field(gt=0)]
    paid_on: date | None = None
    invoices: Annotated[list[Code], Field(max_length=200)] = []


class PostPayment(Strict):
    """Money arrived: it settles the invoices named, then the oldest; what is left stays unapplied."""

    type: Literal["post_payment"] = "post_payment"
    customer: Code
    reference: Code
    amount: Annotated[Amount, Field(gt=0)]
    received_on: date
    invoices: Annotated[list[Code], Field(max_length=200)] = []


class IssueCreditMemo(Strict):
    """Give money back on an invoice."""

    type: Literal["issue_credit_memo"] = "issue_credit_memo"
    invoice: Code
    amount: Annotated[Amount, Field(gt=0)]
    reason: Annotated[Sentence, Field(min_length=3)]
