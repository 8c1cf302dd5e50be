"""What a careful expert would put to the person responsible: action, queue and priority, from what was read and what is so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from agent.signs import Sign
from erp_core.policy import Policy
from erp_core.values import Action, Intent, Priority, Queue


@dataclass(frozen=True)
class Choice:
    """The action, who should own it, how urgent it is, and in a few words why."""

    action: Action
    queue: Queue
    priority: Priority
    why: str


@dataclass(frozen=True)
class Known:
    """What the choice rests on."""

    intent: str
    confidence: float
    signs: frozenset[Sign]
    hostile: bool
    auto: bool
    supplier: bool
    blocked: bool
    sure: bool
    state: str | None
    overdue: bool
    in_stock: bool
    at_stake: Decimal | None
    duplicate_of: str | None
    line_down: bool

    def shows(self, sign: Sign, *without: Sign) -> bool:
        """One sign, and none of the others."""
        return sign in self.signs and not self.signs & set(without)


def choose(known: Known, policy: Policy) -> Choice:
    """The one action for a mail."""
    if known.hostile:
        return Choice(Action.FLAG_SECURITY, Queue.SECURITY, Priority.HIGH, "something in it tries to mislead")
    if known.auto:
        return Choice(Action.NO_ACTION, Queue.NONE, Priority.LOW, "machine mail that asks nothing")
    if known.supplier:
        return _of_supplier(known)
    if known.blocked and known.intent in (Intent.ORDER_SUBMISSION, Intent.EXPEDITE_REQUEST, Intent.ORDER_CHANGE):
        return Choice(Action.REVIEW_CREDIT_HOLD, Queue.CREDIT, Priority.NORMAL, "the customer is blocked")
    return _CHOICES[Intent(known.intent)](known, policy)


def _of_supplier(known: Known) -> Choice:
    if known.intent in (Intent.CREDIT_AND_PAYMENT, Intent.INVOICE_QUERY):
        late = Sign.PAST_DUE in known.signs
        return Choice(
            Action.REVIEW_INVOICE,
            Queue.ACCOUNTS_PAYABLE,
            Priority.HIGH if late else Priority.NORMAL,
            "a supplier asks for money",
        )
    if Sign.RECALL in known.signs:
        return Choice(Action.UPDATE_INBOUND_SUPPLY, Queue.COMPLIANCE, Priority.URGENT, "a recall or stop-sale")
    if known.shows(Sign.ON_ITS_WAY, Sign.LATE):
        soon = Priority.HIGH if Sign.ARRIVES_SOON in known.signs else Priority.NORMAL
        return Choice(Action.UPDATE_INBOUND_SUPPLY, Queue.RECEIVING, soon, "goods are on their way")
    if known.shows(Sign.PAPERS, Sign.LATE):
        return Choice(Action.UPDATE_INBOUND_SUPPLY, Queue.COMPLIANCE, Priority.NORMAL, "papers for goods")
    late_notice = Priority.HIGH if Sign.LATE in known.signs else Priority.NORMAL
    return Choice(Action.UPDATE_INBOUND_SUPPLY, Queue.PURCHASING, late_notice, "a supplier's notice")


def _submission(known: Known, policy: Policy) -> Choice:
    if known.duplicate_of and Sign.CONFIRMING_COPY in known.signs:
        return Choice(
            Action.NO_ACTION,
            Queue.CUSTOMER_SERVICE,
            Priority.NORMAL,
            f"a copy of {known.duplicate_of}, which is entered",
        )
    return Choice(Action.CREATE_ORDER, Queue.CUSTOMER_SERVICE, Priority.NORMAL, "a new order")


def _change(known: Known, policy: Policy) -> Choice:
    if known.shows(Sign.WITHDRAWN, Sign.CHANGED_INSTEAD):
        return Choice(Action.NO_ACTION, Queue.CUSTOMER_SERVICE, Priority.NORMAL, "the wish is withdrawn")
    if known.state in ("shipped", "delivered", "cancelled"):
        return Choice(
            Action.ANSWER_STATUS,
            Queue.CUSTOMER_SERVICE,
            Priority.NORMAL,
            f"the order is {known.state}; it can no longer change",
        )
    large = known.at_stake is not None and known.at_stake > 10 * policy.proposals.high_from_amount
    return Choice(
        Action.CHANGE_ORDER,
        Queue.CUSTOMER_SERVICE,
        Priority.HIGH if large else Priority.NORMAL,
        "a change before shipping",
    )


def _cancellation(known: Known, policy: Policy) -> Choice:
    if Sign.WITHDRAWN in known.signs:
        return Choice(Action.NO_ACTION, Queue.CUSTOMER_SERVICE, Priority.NORMAL, "the cancellation is withdrawn")
    if known.state in ("shipped", "delivered"):
        return Choice(
            Action.CREATE_RETURN,
            Queue.RETURNS,
            Priority.NORMAL,
            f"the order is {known.state}; only a return can undo it",
        )
    return Choice(Action.CANCEL_ORDER, Queue.CUSTOMER_SERVICE, Priority.NORMAL, "a cancellation before shipping")


def _status(known: Known, policy: Policy) -> Choice:
    late = Priority.HIGH if known.overdue else Priority.NORMAL
    return Choice(
        Action.ANSWER_STATUS, Queue.CUSTOMER_SERVICE, late, "overdue" if known.overdue else "a question about an order"
    )


def _expedite(known: Known, policy: Policy) -> Choice:
    if known.state in ("shipped", "delivered"):
        return Choice(Action.ANSWER_STATUS, Queue.CUSTOMER_SERVICE, Priority.HIGH, f"the order is {known.state}")
    queue = Queue.WAREHOUSE if known.in_stock else Queue.ALLOCATION
    urgent = Priority.URGENT if known.line_down else Priority.HIGH
    return Choice(
        Action.EXPEDITE_ORDER, queue, urgent, "in stock at its warehouse" if known.in_stock else "needs other stock"
    )


def _discrepancy(known: Known, policy: Policy) -> Choice:
    trace = known.shows(Sign.CARRIER_TRACE, Sign.COUNTED)
    queue = Queue.CUSTOMER_SERVICE if trace else Queue.WAREHOUSE
    priority = Priority.HIGH if trace or _high(known, policy) else Priority.NORMAL
    return Choice(
        Action.OPEN_DISCREPANCY_CASE,
        queue,
        priority,
        "the carrier must trace it" if trace else "delivered goods do not match",
    )


def _return(known: Known, policy: Policy) -> Choice:
    return Choice(Action.CREATE_RETURN, Queue.RETURNS, Priority.NORMAL, "goods to come back")


def _price(known: Known, policy: Policy) -> Choice:
    priority = Priority.HIGH if _high(known, policy) else Priority.NORMAL
    if known.at_stake is not None and known.at_stake < policy.proposals.low_below_amount:
        priority = Priority.LOW
    return Choice(Action.REVIEW_PRICE, Queue.PRICING, priority, "a price is questioned")


def _invoice(known: Known, policy: Policy) -> Choice:
    if known.shows(Sign.STATEMENT, Sign.QUESTIONED, Sign.NAMES_INVOICE):
        return Choice(Action.SEND_INVOICE_COPY, Queue.CREDIT, Priority.NORMAL, "a statement is wanted")
    if known.shows(Sign.COPY, Sign.QUESTIONED):
        return Choice(Action.SEND_INVOICE_COPY, Queue.BILLING, Priority.NORMAL, "a copy is wanted")
    return Choice(Action.REVIEW_INVOICE, Queue.BILLING, Priority.NORMAL, "an invoice is questioned")


def _credit(known: Known, policy: Policy) -> Choice:
    if known.shows(Sign.STATEMENT, Sign.HOLD_OR_TERMS, Sign.REMITTANCE):
        return Choice(Action.SEND_INVOICE_COPY, Queue.CREDIT, Priority.NORMAL, "a statement is wanted")
    if known.shows(Sign.REMITTANCE, Sign.ASKS_RELEASE):
        return Choice(Action.RECORD_REMITTANCE, Queue.CREDIT, Priority.NORMAL, "a payment is announced")
    return Choice(Action.REVIEW_CREDIT_HOLD, Queue.CREDIT, Priority.HIGH, "hold, limit or terms")


def _quote(known: Known, policy: Policy) -> Choice:
    if Sign.FORMAL_QUOTE in known.signs:
        dated = Sign.BID_DEADLINE in known.signs
        return Choice(
            Action.QUOTE_AVAILABILITY, Queue.PRICING, Priority.HIGH if dated else Priority.NORMAL, "a formal quote"
        )
    return Choice(Action.QUOTE_AVAILABILITY, Queue.CUSTOMER_SERVICE, Priority.NORMAL, "a question before ordering")


def _substitution(known: Known, policy: Policy) -> Choice:
    if known.shows(Sign.SPLIT, Sign.SUBSTITUTE):
        return Choice(Action.CHANGE_ORDER, Queue.ALLOCATION, Priority.NORMAL, "a split is accepted")
    if Sign.REFUSES in known.signs:
        return Choice(Action.DECLINE_SUBSTITUTION, Queue.ALLOCATION, Priority.NORMAL, "the offer is declined")
    return Choice(Action.APPLY_SUBSTITUTION, Queue.ALLOCATION, Priority.NORMAL, "the offer is accepted")


def _account(known: Known, policy: Policy) -> Choice:
    return Choice(Action.UPDATE_ACCOUNT, Queue.MASTER_DATA, Priority.NORMAL, "data of the account")


def _complaint(known: Known, policy: Policy) -> Choice:
    return Choice(Action.ESCALATE_COMPLAINT, Queue.CUSTOMER_SERVICE, Priority.HIGH, "a complaint about how we work")


def _notice(known: Known, policy: Policy) -> Choice:
    return _of_supplier(known)


def _other(known: Known, policy: Policy) -> Choice:
    return Choice(Action.NO_ACTION, Queue.CUSTOMER_SERVICE, Priority.LOW, "no request that we know")


_CHOICES = {
    Intent.ORDER_SUBMISSION: _submission,
    Intent.ORDER_CHANGE: _change,
    Intent.ORDER_CANCELLATION: _cancellation,
    Intent.ORDER_STATUS: _status,
    Intent.EXPEDITE_REQUEST: _expedite,
    Intent.DELIVERY_DISCREPANCY: _discrepancy,
    Intent.RETURN_REQUEST: _return,
    Intent.PRICE_DISPUTE: _price,
    Intent.INVOICE_QUERY: _invoice,
    Intent.CREDIT_AND_PAYMENT: _credit,
    Intent.AVAILABILITY_QUOTE: _quote,
    Intent.SUBSTITUTION_RESPONSE: _substitution,
    Intent.ACCOUNT_CHANGE: _account,
    Intent.SUPPLIER_NOTICE: _notice,
    Intent.COMPLAINT: _complaint,
    Intent.OTHER: _other,
}


def _high(known: Known, policy: Policy) -> bool:
    return known.at_stake is not None and known.at_stake >= policy.proposals.high_from_amount


def known_of(read: Mapping[str, Any], gathered: Mapping[str, Any]) -> Known:
    """What was read and gathered (plain JSON), as the choice wants it."""
    order = gathered.get("order") or {}
    at_stake = gathered.get("at_stake")
    today = gathered.get("today", "")
    signs = frozenset(map(Sign, read["signs"]))
    state = order.get("state")
    return Known(
        intent=read["intent"],
        confidence=read["confidence"],
        signs=signs,
        hostile=read["hostile"],
        auto=read["auto"],
        supplier=read["supplier"] is not None,
        blocked=read["blocked"],
        sure=bool(read["order"]),
        state=state,
        overdue=state in ("open", "shipped") and bool(order.get("requested_date")) and order["requested_date"] < today,
        in_stock=bool(order)
        and all(
            Decimal(x["backordered"]) == 0 or Decimal(x["free_here"]) >= Decimal(x["backordered"])
            for x in gathered.get("lines", [])
        ),
        at_stake=Decimal(at_stake) if at_stake is not None else None,
        duplicate_of=gathered.get("duplicate_of"),
        line_down=Sign.LINE_DOWN in signs,
    )
