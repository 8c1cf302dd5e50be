"""Proposals about money: prices, quotes, invoices, credit, payments announced."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from agent import replies
from agent.draft import (
    Draft,
    route,
)
from erp_core.commands import (
    RecordRemittance,
)
from erp_core.values import Queue
from prompts.replies import phrase

Facts = Mapping[str, Any]


def review_price(draft: Draft) -> None:
    for line in draft.gathered.get("prices", []):
        text = f"{line['sku']} ordered at {line['price']}, agreed or list price {line['expected']}"
        draft.say(f"{text} {draft.evidence.cite('price ' + line['sku'], text)}.")
    draft.add(route(draft, "price_review"), replies.compose("review_price", draft.read, draft.case, []))


def send_invoice(draft: Draft) -> None:
    invoices = draft.gathered.get("invoices", [])
    if draft.choice.queue == Queue.CREDIT or not invoices or not draft.read["customer"]:
        draft.add(route(draft, "invoice_review", "statement or copy wanted"))
        return
    facts = []
    for invoice in invoices[:20]:
        facts.append(replies.invoice_line(invoice, draft.language))
        draft.say(
            f"{invoice['number']} of {invoice['date']} over {invoice['amount']} {draft.evidence.cite('invoice ' + invoice['number'], facts[-1])}."
        )
    draft.add(
        replies.compose(
            "send_invoice_copy", draft.read, draft.case, facts, invoices=[i["number"] for i in invoices[:20]]
        )
    )


def review_invoice(draft: Draft) -> None:
    for invoice in draft.gathered.get("invoices", []):
        fact = f"{invoice['number']} of {invoice['date']} over {invoice['amount']}" + (
            f", paid {invoice['paid_at']}" if invoice["paid_at"] else ", unpaid"
        )
        draft.say(f"{fact} {draft.evidence.cite('invoice ' + invoice['number'], fact)}.")
    draft.add(route(draft, "invoice_review"))


def review_credit(draft: Draft) -> None:
    credit = draft.gathered.get("credit") or {}
    if credit:
        fact = f"exposure {credit['exposure']}, limit {credit['limit']} {credit['currency']}"
        draft.say(f"The account stands at {fact} {draft.evidence.cite('credit', fact)}.")
    if draft.read["blocked"]:
        draft.say(f"The customer is blocked {draft.evidence.cite('customer', 'status blocked')}; no order is entered.")
    draft.add(route(draft, "credit_review"))


MONEY = re.compile(r"(?:[$€£]|USD|CAD|EUR)\s?(\d[\d,]*(?:\.\d{2})?)|(\d[\d,]*\.\d{2})\s?(?:USD|CAD|EUR|dollars)", re.I)


PAYMENT_REFERENCE = re.compile(
    r"(?:ach|wire|check|cheque|eft|trace|reference|ref|confirmation|transfer\w*|virement)\s*(?:no\.?|number|#|nr\.?|:)*\s*([A-Z]{0,6}-?\d[\dA-Z-]{3,20})",
    re.I,
)


def record_remittance(draft: Draft) -> None:
    amount, reference = MONEY.search(draft.read["own_words"]), PAYMENT_REFERENCE.search(draft.read["own_words"])
    if not amount or not draft.read["customer"]:
        draft.say("The amount or the payer cannot be read with certainty.")
        draft.add(route(draft, "credit_review", "remittance to be matched"))
        return
    value = Decimal((amount.group(1) or amount.group(2)).replace(",", ""))
    called = reference.group(1) if reference else f"mail of {draft.read['sent_day']}"
    invoices = [i["number"] for i in draft.gathered.get("invoices", [])]
    draft.add(RecordRemittance(customer=draft.read["customer"], reference=called, amount=value, invoices=invoices))
    draft.say(
        f"A payment of {value:,} is announced, reference {called} {draft.span('amount', 'payment')}; it is recorded unapplied."
    )
    fact = phrase("payment", draft.language, amount=f"{value:,}", reference=called)
    draft.add(replies.compose("record_remittance", draft.read, draft.case, [fact]))


def quote(draft: Draft) -> None:
    offers = draft.gathered.get("offers", [])
    if not offers or draft.choice.queue == Queue.PRICING or not draft.read["customer"]:
        draft.add(route(draft, "hand_over", "quote wanted"))
        return
    currency = (draft.gathered.get("credit") or {}).get("currency", "USD")
    facts = [replies.offer_line(offer, draft.language, currency) for offer in offers]
    for offer, fact in zip(offers, facts, strict=True):
        draft.say(f"{fact} {draft.evidence.cite('stock and price ' + offer['sku'], fact)}.")
    draft.add(
        replies.compose(
            "quote_availability",
            draft.read,
            draft.case,
            facts,
            today=replies.day(draft.gathered["today"], draft.language),
        )
    )
