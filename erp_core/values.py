"""Words of the trade as closed sets, and the tables of legal steps between them."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Any, TypeVar

from erp_core.errors import IllegalTransition


class OrderStatus(StrEnum):
    ENTERED = "entered"
    VALIDATED = "validated"
    ALLOCATED = "allocated"
    RELEASED = "released"
    SHIPPED = "shipped"
    INVOICED = "invoiced"
    CLOSED = "closed"
    CANCELLED = "cancelled"


MODEL_KINDS = ("model", "prompt")
MODEL_USES = ("champion", "shadow")
# what a new installation trains first
MODELS = (
    "hold_risk", "late_shipment", "late_supply", "stockout", "price_anomaly", "duplicate_order", "demand", "queue_load", "return_reason",
    "case_late", "root_cause", "mail_reader",
)  # fmt: skip
# what came of asking a language model; all but the first leave the work to the local models
CALL_OUTCOMES = ("answered", "slow", "refused", "failed", "unusable", "over_budget", "paused")
PASSAGE_KINDS = ("case", "open", "policy", "playbook")
DRILL_OUTCOMES = ("caught", "missed", "left")
CAUSE = "cause_"  # a prediction of a root cause asks this and the cause
SAMPLE_STATES = ("proposed", "accepted", "refused")


class ChatState(StrEnum):
    """Who answers in a chat: `asked` for a code, `open` the assistant, `handed_over` a person should, `taken` a person does."""

    ASKED = "asked"
    OPEN = "open"
    HANDED_OVER = "handed_over"
    TAKEN = "taken"
    CLOSED = "closed"


class HandOver(StrEnum):
    """Why the assistant passed a chat to a person: a closed list, so that it can be counted."""

    WANTS_PERSON = "wants_person"
    NOT_UNDERSTOOD = "not_understood"
    COMPLAINT = "complaint"
    NOT_ITS_OWN = "not_its_own"
    MISLEADING = "misleading"
    CANNOT = "cannot"
    FAILED = "failed"


CHAT_STEPS = ("reading", "looking_up", "checking")  # what somebody who waits is told


class HoldReason(StrEnum):
    CREDIT = "credit"
    PRICE = "price"
    MARGIN = "margin"
    DUPLICATE = "duplicate"
    ABNORMAL = "abnormal"
    STOCK = "stock"
    TAX = "tax"
    EXPORT = "export"
    SHIPPING = "shipping"
    ADDRESS = "address"
    DATA = "data"
    MANUAL = "manual"


class ReturnStatus(StrEnum):
    REQUESTED = "requested"
    AUTHORISED = "authorised"
    RECEIVED = "received"
    CREDITED = "credited"
    REFUSED = "refused"
    CLOSED = "closed"


class ReturnReason(StrEnum):
    """Why goods come back: a closed list, so that it can be counted."""

    DAMAGED = "damaged"
    DEFECTIVE = "defective"
    WRONG_ITEM = "wrong_item"
    WRONG_QUANTITY = "wrong_quantity"
    ORDERED_IN_ERROR = "ordered_in_error"
    NO_LONGER_NEEDED = "no_longer_needed"
    LATE = "late"
    WARRANTY = "warranty"


class Disposition(StrEnum):
    """What becomes of returned goods."""

    RESTOCK = "restock"
    QUARANTINE = "quarantine"
    SCRAP = "scrap"
    RETURN_TO_SUPPLIER = "return_to_supplier"


class PurchaseStatus(StrEnum):
    DRAFT = "draft"
    APPROVED = "approved"
    SENT = "sent"
    ACKNOWLEDGED = "acknowledged"
    RECEIVING = "receiving"
    RECEIVED = "received"
    CLOSED = "closed"
    CANCELLED = "cancelled"


class TransferStatus(StrEnum):
    ORDERED = "ordered"
    SHIPPED = "shipped"
    RECEIVED = "received"
    CANCELLED = "cancelled"


class QuarantineOutcome(StrEnum):
    """What became of goods that were set apart."""

    RELEASED = "released"
    SCRAPPED = "scrapped"
    RETURNED = "returned_to_supplier"


class DiscrepancyKind(StrEnum):
    """How what came or was billed differs from what was ordered."""

    SHORT = "short"
    OVER = "over"
    DAMAGED = "damaged"
    UNORDERED = "unordered"
    LATE = "late"
    COMPLIANCE = "compliance"
    PRICE = "price"
    QUANTITY = "quantity"
    CHARGES = "charges"
    TAX = "tax"
    CURRENCY = "currency"
    DATE = "date"
    DUPLICATE = "duplicate"


class BillStatus(StrEnum):
    """How far a supplier's invoice is."""

    BLOCKED = "blocked"
    MATCHED = "matched"
    APPROVED = "approved"
    REJECTED = "rejected"
    PAID = "paid"


class CaseStatus(StrEnum):
    NEW = "new"
    INVESTIGATING = "investigating"
    AWAITING_REVIEW = "awaiting_review"
    RESOLVED = "resolved"
    DISMISSED = "dismissed"


class ProposalStatus(StrEnum):
    PENDING = "pending"
    EXECUTED = "executed"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"


class Verdict(StrEnum):
    """What a person says to a proposal."""

    APPROVE = "approve"
    AMEND = "amend"
    REJECT = "reject"
    INSTRUCT = "instruct"
    ESCALATE = "escalate"
    SNOOZE = "snooze"


class Outcome(StrEnum):
    """What became of a decision."""

    EXECUTED = "executed"
    SIGNED = "signed"
    REJECTED = "rejected"
    RETURNED = "returned"
    SNOOZED = "snoozed"
    ESCALATED = "escalated"
    REFUSED = "refused"
    STALE = "stale"


class Queue(StrEnum):
    CUSTOMER_SERVICE = "customer_service"
    CREDIT = "credit"
    PRICING = "pricing"
    ALLOCATION = "allocation"
    WAREHOUSE = "warehouse"
    RECEIVING = "receiving"
    PURCHASING = "purchasing"
    ACCOUNTS_PAYABLE = "accounts_payable"
    BILLING = "billing"
    RETURNS = "returns"
    MASTER_DATA = "master_data"
    COMPLIANCE = "compliance"
    SECURITY = "security"
    NONE = "none"


class Priority(StrEnum):
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"


class Intent(StrEnum):
    ORDER_SUBMISSION = "order_submission"
    ORDER_CHANGE = "order_change"
    ORDER_CANCELLATION = "order_cancellation"
    ORDER_STATUS = "order_status"
    EXPEDITE_REQUEST = "expedite_request"
    DELIVERY_DISCREPANCY = "delivery_discrepancy"
    RETURN_REQUEST = "return_request"
    PRICE_DISPUTE = "price_dispute"
    INVOICE_QUERY = "invoice_query"
    CREDIT_AND_PAYMENT = "credit_and_payment"
    AVAILABILITY_QUOTE = "availability_quote"
    SUBSTITUTION_RESPONSE = "substitution_response"
    ACCOUNT_CHANGE = "account_change"
    SUPPLIER_NOTICE = "supplier_notice"
    COMPLAINT = "complaint"
    OTHER = "other"


class Action(StrEnum):
    """What a careful expert would put to the person responsible."""

    CREATE_ORDER = "create_order"
    CHANGE_ORDER = "change_order"
    CANCEL_ORDER = "cancel_order"
    EXPEDITE_ORDER = "expedite_order"
    ANSWER_STATUS = "answer_status"
    OPEN_DISCREPANCY_CASE = "open_discrepancy_case"
    CREATE_RETURN = "create_return"
    REVIEW_PRICE = "review_price"
    SEND_INVOICE_COPY = "send_invoice_copy"
    REVIEW_INVOICE = "review_invoice"
    REVIEW_CREDIT_HOLD = "review_credit_hold"
    RECORD_REMITTANCE = "record_remittance"
    QUOTE_AVAILABILITY = "quote_availability"
    APPLY_SUBSTITUTION = "apply_substitution"
    DECLINE_SUBSTITUTION = "decline_substitution"
    UPDATE_ACCOUNT = "update_account"
    UPDATE_INBOUND_SUPPLY = "update_inbound_supply"
    ESCALATE_COMPLAINT = "escalate_complaint"
    FLAG_SECURITY = "flag_security"
    NO_ACTION = "no_action"


ORDER_STEPS = frozenset(
    {
        ("entered", "validated"),
        ("validated", "allocated"),
        ("allocated", "released"),
        ("released", "shipped"),
        ("shipped", "invoiced"),
        ("invoiced", "closed"),
        # a hold or a change takes the order back to where its checks start again
        ("allocated", "validated"),
        ("released", "validated"),
        ("entered", "cancelled"),
        ("validated", "cancelled"),
        ("allocated", "cancelled"),
        ("released", "cancelled"),
    }
)

PURCHASE_STEPS = frozenset(
    {
        ("draft", "approved"),
        ("approved", "sent"),
        ("sent", "acknowledged"),
        # goods come whether or not the supplier answered before
        ("approved", "receiving"),
        ("sent", "receiving"),
        ("acknowledged", "receiving"),
        ("receiving", "received"),
        ("received", "closed"),
        ("draft", "cancelled"),
        ("approved", "cancelled"),
        ("sent", "cancelled"),
        ("acknowledged", "cancelled"),
    }
)

TRANSFER_STEPS = frozenset({("ordered", "shipped"), ("shipped", "received"), ("ordered", "cancelled")})

BILL_STEPS = frozenset(
    {
        ("blocked", "matched"),
        ("matched", "blocked"),
        ("blocked", "approved"),
        ("blocked", "rejected"),
        ("matched", "rejected"),
        ("matched", "paid"),
        ("approved", "paid"),
        ("approved", "rejected"),
        # facts that change after an approval void it
        ("approved", "blocked"),
    }
)

RETURN_STEPS = frozenset(
    {
        ("requested", "authorised"),
        ("requested", "refused"),
        ("authorised", "received"),
        ("authorised", "closed"),
        ("received", "credited"),
        ("received", "closed"),
    }
)

CASE_STEPS = frozenset(
    {
        ("new", "investigating"),
        ("new", "awaiting_review"),
        ("investigating", "awaiting_review"),
        ("awaiting_review", "investigating"),
        ("awaiting_review", "resolved"),
        ("new", "resolved"),
        ("investigating", "resolved"),
        ("new", "dismissed"),
        ("investigating", "dismissed"),
        ("awaiting_review", "dismissed"),
    }
)

OPEN_CASE_STATUSES = (CaseStatus.NEW, CaseStatus.INVESTIGATING, CaseStatus.AWAITING_REVIEW)
INBOUND_PURCHASE_STATUSES = (
    PurchaseStatus.APPROVED,
    PurchaseStatus.SENT,
    PurchaseStatus.ACKNOWLEDGED,
    PurchaseStatus.RECEIVING,
)
CHANGEABLE_ORDER_STATUSES = (
    OrderStatus.ENTERED,
    OrderStatus.VALIDATED,
    OrderStatus.ALLOCATED,
    OrderStatus.RELEASED,
)

S = TypeVar("S", bound=StrEnum)


def transition(steps: frozenset[tuple[str, str]], old: S, new: S) -> S:
    """Return `new` when the table of steps allows it from `old`; raise IllegalTransition otherwise."""
    if (old.value, new.value) not in steps:
        raise IllegalTransition(f"{type(new).__name__} cannot go from {old.value} to {new.value}")
    return new


def money(amount: Decimal | int | str) -> Decimal:
    """Round to cents, half up, as invoices do."""
    return Decimal(amount).quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


def plain(value: Decimal) -> str:
    """A quantity without trailing zeros: 40, 2.5."""
    text = f"{value.normalize():f}"
    return text if text != "-0" else "0"


def in_utc(moment: datetime) -> datetime:
    """A moment said without a zone is in UTC."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def canonical(data: Any) -> str:
    """JSON with one spelling: sorted keys, no spaces, decimals and dates as text."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), default=str, ensure_ascii=False)


def digest(data: Any) -> str:
    """SHA-256 (hex) of the canonical JSON of `data`."""
    return hashlib.sha256(canonical(data).encode()).hexdigest()


def kind_words(name: str) -> str:
    """A kind of case, or another of our codes, as people say it: hold_credit is a credit hold."""
    return (
        f"{name.removeprefix('hold_').replace('_', ' ')} hold" if name.startswith("hold_") else name.replace("_", " ")
    )
