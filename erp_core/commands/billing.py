"""Money: invoices, payments, credits."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

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


class ReportCredit(Strict):
    """Finance reports how a customer stands: what it owes outside our own books, and whether deliveries must stop."""

    type: Literal["report_credit"] = "report_credit"
    customer: Code
    standing: Literal["good", "stop"]
    owed_elsewhere: Amount = Decimal(0)
    as_of: AwareDatetime


class IssueCreditMemo(Strict):
    """Give money back on an invoice."""

    type: Literal["issue_credit_memo"] = "issue_credit_memo"
    invoice: Code
    amount: Annotated[Amount, Field(gt=0)]
    reason: Annotated[Sentence, Field(min_length=3)]
