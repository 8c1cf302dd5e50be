"""What a careful expert would put to the person responsible: action, queue and priority, from what was read and what is so."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from erp_core.policy import Policy
from erp_core.values import Action, Intent, Priority, Queue

WITHDRAWN = re.compile(
    r"\b(?:(?:please )?(?:disregard|ignore|forget) (?:my|our|the|that|this|yesterday'?s?) (?:last |previous |earlier )?(?:e-?mail|message|cancellation|change|request|note)|don'?t cancel(?: after all| it)?|do not cancel|"
    r"(?:leave|keep) (?:it|the order|everything|po\S*|\S*\d\S*) as (?:it )?(?:is|was)|never ?mind|false alarm|changed (?:my|our) minds?|no change (?:needed|after all)|after all)\b",
    re.I,
)
CONFIRMING = re.compile(
    r"\b(?:confirm(?:ing|ation) (?:copy|only|of (?:phone|verbal))|do not (?:duplicate|re-?enter)|already (?:entered|placed|in your system)|for your (?:records|file) only|duplicate copy)\b",
    re.I,
)
RECALL = re.compile(
    r"\b(?:recall\w*|stop[- ]sale|quarantine|safety (?:notice|alert)|do not (?:use|sell)|retir(?:o|ada) de producto|rappel de produit|rückruf\w*)\b",
    re.I,
)
PAPERS = re.compile(
    r"\b(?:certificates?|sds|safety data sheets?|conflict minerals|reach|rohs|prop(?:osition)? 65|w-?9|insurance|country of origin|certificado\w*|attestation|zertifikat\w*)\b",
    re.I,
)
INBOUND = re.compile(
    r"\b(?:dock (?:appointment|appt|time|door)|appointment|asn|advance ship\w*|ship(?:ping)? notice|on (?:its|the) way|with our driver|arriv\w+ (?:tomorrow|today|on|thursday|friday|monday|tuesday|wednesday)|delivery window|unload\w*|packing list attached|"
    r"has (?:been )?shipped|have shipped|shipped (?:today|yesterday|complete)|left (?:our|the) (?:plant|dock|warehouse)|in transit|bol\b|cita de entrega|rendez-vous|avisierung|anlieferung|versandanzeige)\b",
    re.I,
)
LATE = re.compile(
    r"\b(?:delay\w*|late\b|slip\w*|push\w* (?:back|out)|postpon\w*|unable to (?:ship|meet)|cannot (?:ship|meet)|will not (?:ship|make)|verzög\w*|verzug|retras\w*|demora\w*|retard\w*|behind|force majeure|backorder\w*|new (?:ship|delivery|eta)|revised (?:ship|date|eta))\b",
    re.I,
)
TRACE = re.compile(
    r"\b(?:says?|shows?|marked|showing|lists?|according to|tracking|left at|signed)\b[^.\n]{0,60}\b(?:delivered|left at|signed)|\bnever (?:arrived|showed|got here|came)\b|\bmis-?deliver\w*\b|\bwrong (?:address|location|building|dock|door|company)\b|"
    r"\bdelivered to (?:the )?(?:wrong|another|someone)|\bproof of delivery\b|\bentregad\w+[^.\n]{0,40}\b(?:no|nunca)\b|\blivré\w*[^.\n]{0,40}\b(?:pas|jamais)\b",
    re.I,
)
COUNTED = re.compile(r"\b(?:short|missing|damaged|instead of|ordered|received|counted)\b", re.I)
STATEMENT = re.compile(r"\b(?:statements?|aging|estado de cuenta|relevé de compte|kontoauszug|open items?)\b", re.I)
COPY = re.compile(
    r"\b(?:cop(?:y|ies)|re-?send|send (?:me|us)|e-?mail (?:me|us)|never (?:received|got)|haven'?t (?:received|gotten|seen)|don'?t have|need (?:the|a|an|all|these)? ?invoices?|did not (?:receive|get)|missing invoices?|nothing from you|copia|reenv\w+|duplicado|copie|renvoy\w+|faire parvenir|transmettre|kopie|zusenden|schicken)\b",
    re.I,
)
WRONG = re.compile(
    r"\b(?:wrong|error|incorrect|should|duplicate|twice|double|tax|exempt\w*|mismatch|does(?:n'?t| not) match|credit memo|dispute|reissue|correct\w*|rebill|freight|charged|erreur|taxe|falsch|impuesto|error)\b",
    re.I,
)
REMITTANCE = re.compile(
    r"\b(?:remittance|remit advice|payment (?:of|for|advice|sent|was|has been|in the amount)|we (?:have )?paid|wired?|ach (?:of|for|payment|sent)|check (?:no|number|#)|check #?\d+|has been (?:paid|wired|sent)|pagamos|transferencia|virement|avis de paiement|überwiesen|zahlungsavis)\b",
    re.I,
)
HOLD = re.compile(
    r"\b(?:on hold|credit hold|credit review|release|limit|terms|extension|payment plan|retenid\w+|bloqu\w+|gesperrt|kreditlimit)\b",
    re.I,
)
RFQ = re.compile(
    r"\b(?:rfq|request for quot\w*|formal quot\w*|quotation|bid|price breaks?|volume pric\w*|tender|at \d+,? (?:at|and) \d+|licitación|appel d'offres|ausschreibung|staffelpreis\w*)\b",
    re.I,
)
REFUSES = re.compile(
    r"\b(?:no\b(?! problem| issue| rush)|not (?:acceptable|accept\w*|interested|ok|okay|going to work|what|suitable)|won'?t (?:work|do|fit|take)|don'?t (?:want|send|sub\w*|ship the)|cannot (?:use|accept)|can'?t (?:use|accept)|decline\w*|reject\w*|pass on|refuse|rather wait|we'?ll wait|wait for the (?:original|real|ordered)|"
    r"keep (?:it |them |the \w+ )?on back-?order|back-?order (?:it|them)|stick with|no (?:aceptamos|nos sirve|gracias|queremos)|preferimos esperar|non merci|nous (?:refusons|préférons attendre)|n'accept\w+|ne convient pas|nein|nicht (?:akzept\w+|geeignet|in ordnung)|lieber warten|ablehnen|lehnen)\b",
    re.I,
)
SPLIT = re.compile(
    r"\b(?:split (?:it|the)|ship what you have|ship (?:the|what)[^.\n]{0,40}(?:now|today)|partial (?:is|ship)|in two|rest (?:later|when)|back-?order the|embarquen lo|expédi\w+ ce qui|teillieferung)\b",
    re.I,
)
MANY = re.compile(
    r"\b(?:second|third|fourth|again|every time|pattern|repeated\w*|always|weeks? in a row|supervisor|manager|bid|elsewhere|competitor)\b",
    re.I,
)


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
    text: str
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
        late = bool(re.search(r"past due|overdue|final|second notice|mahnung|hold", known.text, re.I))
        return Choice(
            Action.REVIEW_INVOICE,
            Queue.ACCOUNTS_PAYABLE,
            Priority.HIGH if late else Priority.NORMAL,
            "a supplier asks for money",
        )
    if RECALL.search(known.text):
        return Choice(Action.UPDATE_INBOUND_SUPPLY, Queue.COMPLIANCE, Priority.URGENT, "a recall or stop-sale")
    if INBOUND.search(known.text) and not LATE.search(known.text):
        soon = (
            Priority.HIGH
            if re.search(r"\b(?:today|tomorrow|morgen|mañana|demain)\b", known.text, re.I)
            else Priority.NORMAL
        )
        return Choice(Action.UPDATE_INBOUND_SUPPLY, Queue.RECEIVING, soon, "goods are on their way")
    if PAPERS.search(known.text) and not LATE.search(known.text):
        return Choice(Action.UPDATE_INBOUND_SUPPLY, Queue.COMPLIANCE, Priority.NORMAL, "papers for goods")
    late_notice = Priority.HIGH if LATE.search(known.text) else Priority.NORMAL
    return Choice(Action.UPDATE_INBOUND_SUPPLY, Queue.PURCHASING, late_notice, "a supplier's notice")


def _submission(known: Known, policy: Policy) -> Choice:
    if known.duplicate_of and CONFIRMING.search(known.text):
        return Choice(
            Action.NO_ACTION,
            Queue.CUSTOMER_SERVICE,
            Priority.NORMAL,
            f"a copy of {known.duplicate_of}, which is entered",
        )
    return Choice(Action.CREATE_ORDER, Queue.CUSTOMER_SERVICE, Priority.NORMAL, "a new order")


def _change(known: Known, policy: Policy) -> Choice:
    if WITHDRAWN.search(known.text) and not re.search(r"\b(?:instead|rather|change|make it|add)\b", known.text, re.I):
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
    if WITHDRAWN.search(known.text):
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
    trace = TRACE.search(known.text) and not COUNTED.search(known.text)
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
    if (
        STATEMENT.search(known.text)
        and not WRONG.search(known.text)
        and not re.search(r"inv\w*[- #]*\d", known.text, re.I)
    ):
        return Choice(Action.SEND_INVOICE_COPY, Queue.CREDIT, Priority.NORMAL, "a statement is wanted")
    if COPY.search(known.text) and not WRONG.search(known.text):
        return Choice(Action.SEND_INVOICE_COPY, Queue.BILLING, Priority.NORMAL, "a copy is wanted")
    return Choice(Action.REVIEW_INVOICE, Queue.BILLING, Priority.NORMAL, "an invoice is questioned")


def _credit(known: Known, policy: Policy) -> Choice:
    if STATEMENT.search(known.text) and not HOLD.search(known.text) and not REMITTANCE.search(known.text):
        return Choice(Action.SEND_INVOICE_COPY, Queue.CREDIT, Priority.NORMAL, "a statement is wanted")
    if REMITTANCE.search(known.text) and not re.search(
        r"\b(?:on hold|credit hold|credit review|release|payment plan|limit)\b", known.text, re.I
    ):
        return Choice(Action.RECORD_REMITTANCE, Queue.CREDIT, Priority.NORMAL, "a payment is announced")
    return Choice(Action.REVIEW_CREDIT_HOLD, Queue.CREDIT, Priority.HIGH, "hold, limit or terms")


def _quote(known: Known, policy: Policy) -> Choice:
    if RFQ.search(known.text):
        dated = re.search(r"\b(?:due|clos\w+|by|no later)\b", known.text, re.I) and re.search(
            r"\brfq|quotation|bid|tender\b", known.text, re.I
        )
        return Choice(
            Action.QUOTE_AVAILABILITY, Queue.PRICING, Priority.HIGH if dated else Priority.NORMAL, "a formal quote"
        )
    return Choice(Action.QUOTE_AVAILABILITY, Queue.CUSTOMER_SERVICE, Priority.NORMAL, "a question before ordering")


def _substitution(known: Known, policy: Policy) -> Choice:
    if SPLIT.search(known.text) and not re.search(r"\b(?:substitut\w*|alternat\w*)\b", known.text, re.I):
        return Choice(Action.CHANGE_ORDER, Queue.ALLOCATION, Priority.NORMAL, "a split is accepted")
    if REFUSES.search(known.text):
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


LINE_DOWN = re.compile(
    r"\b(?:line (?:is )?down|shut ?down|plant (?:is )?down|(?:machine|pump|press|boiler|chiller) (?:is )?down|emergency|no (?:heat|water|power)|critical|standing (?:around|idle)|crew (?:is )?idle|línea parada|paro de línea|ligne (?:est )?arrêtée|produktion steht|stillstand)\b",
    re.I,
)


def known_of(read: Mapping[str, Any], gathered: Mapping[str, Any]) -> Known:
    """What was read and gathered (plain JSON), as the choice wants it."""
    order = gathered.get("order") or {}
    at_stake = gathered.get("at_stake")
    today = gathered.get("today", "")
    state = order.get("state")
    return Known(
        intent=read["intent"],
        confidence=read["confidence"],
        text=read["own_words"],
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
        line_down=LINE_DOWN.search(read["own_words"]) is not None,
    )
