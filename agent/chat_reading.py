"""What a customer means in a chat: one act of a closed set, with order, goods and day, by local models or by a language model in quarantine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel

from agent import reading
from agent.asked import Item
from agent.llm import Ask, Question
from agent.mail.parse import Parsed
from agent.quarantine import day_of, quantity_of
from agent.reading import Understanding
from erp_core.queries.references import key
from erp_core.tables.chat import Chat
from erp_core.values import Intent, plain
from ml.pipeline import Language
from prompts import files
from tools import world

UNSURE = 0.33  # of an intent; below it the local models do not guess
SHORT = 4  # words; a shorter message is read as the language of the chat


class Act(StrEnum):
    """What a message does."""

    ASKS_STATUS = "asks_status"
    ASKS_INVOICES = "asks_invoices"
    ASKS_OFFER = "asks_offer"
    ORDERS = "orders"
    CHANGES_ORDER = "changes_order"
    CANCELS_ORDER = "cancels_order"
    EXPEDITES = "expedites"
    RETURNS = "returns"
    REPORTS = "reports"
    QUESTIONS_PRICE = "questions_price"
    QUESTIONS_INVOICE = "questions_invoice"
    CHANGES_ACCOUNT = "changes_account"
    SAYS_YES = "says_yes"
    SAYS_NO = "says_no"
    WANTS_PERSON = "wants_person"
    COMPLAINS = "complains"
    GREETS = "greets"
    MISLEADING = "misleading"
    UNCLEAR = "unclear"


OF_INTENT = {
    Intent.ORDER_SUBMISSION: Act.ORDERS,
    Intent.ORDER_CHANGE: Act.CHANGES_ORDER,
    Intent.ORDER_CANCELLATION: Act.CANCELS_ORDER,
    Intent.ORDER_STATUS: Act.ASKS_STATUS,
    Intent.EXPEDITE_REQUEST: Act.EXPEDITES,
    Intent.DELIVERY_DISCREPANCY: Act.REPORTS,
    Intent.RETURN_REQUEST: Act.RETURNS,
    Intent.PRICE_DISPUTE: Act.QUESTIONS_PRICE,
    Intent.INVOICE_QUERY: Act.ASKS_INVOICES,
    Intent.CREDIT_AND_PAYMENT: Act.ASKS_INVOICES,
    Intent.AVAILABILITY_QUOTE: Act.ASKS_OFFER,
    Intent.SUBSTITUTION_RESPONSE: Act.CHANGES_ORDER,
    Intent.ACCOUNT_CHANGE: Act.CHANGES_ACCOUNT,
    Intent.COMPLAINT: Act.COMPLAINS,
}
YES = re.compile(r"^\W*(?:yes|yep|yeah|ok(?:ay)?|correct|right|exactly|please do|go ahead|confirm(?:ed)?|sure|s[ií]|claro|correcto|de acuerdo|exacto|adelante|oui|d'accord|exact(?:ement)?|c'est (?:ça|correct|exact)|ja|genau|richtig|stimmt|korrekt|in ordnung|bitte)\b[^?]{0,60}$", re.I)  # fmt: skip
NO = re.compile(r"^\W*(?:no+|nope|not (?:quite|right)|wrong|incorrect|don'?t|stop|cancel that|no es|incorrecto|non|faux|pas (?:ça|exact)|nein|falsch|nicht|stimmt nicht)\b[^?]{0,80}$", re.I)  # fmt: skip
PERSON = re.compile(r"\b(?:(?:real |live |actual )?(?:person|human|agent|representative|rep|somebody|someone)\b|(?:talk|speak) (?:to|with)|call me|customer service|persona|humano|alguien|hablar con|un agente|asesor|personne r[ée]elle|quelqu'un|parler (?:à|avec)|un humain|conseiller|mensch(?:en)?|mitarbeiter(?:in)?|jemand(?:en|em)?|sprechen mit|mit \w+ sprechen)\b", re.I)  # fmt: skip
GREETING = re.compile(r"^\W*(?:hi|hello|hey|good (?:morning|afternoon|evening)|thanks?(?: you)?|thank you|thx|great|perfect|bye|hola|buen[oa]s (?:d[ií]as|tardes|noches)|(?:muchas )?gracias|adi[óo]s|bonjour|salut|merci(?: beaucoup)?|au revoir|hallo|guten (?:tag|morgen|abend)|danke(?: sch[öo]n)?|vielen dank|tsch[üu]ss)\b[\w\s,!.'’]{0,30}$", re.I)  # fmt: skip
INVOICES = re.compile(r"\b(?:(?:open|unpaid|my|our|which|what|copy|copies)\b.{0,30}\b(?:invoices?|bills?)|(?:what|how much) (?:do|does) (?:i|we) owe|balance|statement|facturas?\b|saldo|estado de cuenta|factures?\b|solde|relev[ée]|rechnung(?:en)?\b|kontostand|offene posten)", re.I)  # fmt: skip
WRONG_INVOICE = re.compile(r"\b(?:wrong|incorrect|error|double|twice|credit memo|should be|incorrect[ao]|equivocad[ao]|erreur|fausse?|falsch|doppelt|gutschrift)\b", re.I)  # fmt: skip
STATUS = re.compile(r"\b(?:where (?:is|are)|what'?s (?:going on|happening|up) with|status (?:of|on)|any (?:news|update)|tracking|when (?:will|does|is|can)|d[óo]nde est[áa]|estado d|cu[áa]ndo|o[ùu] en est|quand|suivi|wo (?:ist|bleibt)|wann|stand (?:der|unserer|meiner))\b", re.I)  # fmt: skip
HELD = re.compile(r"\b(?:on hold|held|why (?:has|is|isn'?t|hasn'?t)|stuck|retenid[oa]|detenid[oa]|por qu[ée]|bloqu[ée]\w*|pourquoi|gesperrt|angehalten|warum|wieso)\b", re.I)  # fmt: skip


@dataclass(frozen=True)
class Heard:
    """One message as it is acted upon. `foreign`: it names a number that is not this customer's."""

    act: Act
    language: str
    order: str | None = None
    items: list[Item] = field(default_factory=list)
    day: str | None = None
    invoices: list[str] = field(default_factory=list)
    foreign: bool = False
    degraded: str = ""


@dataclass(frozen=True)
class Found:
    """What was read of a message, and what it was read from."""

    heard: Heard
    said: Understanding
    parsed: Parsed
    words: str
    chat: Chat


def local(chat: Chat, words: str, moment: datetime, nlp: Language) -> Found:
    """Read by the local models and the patterns above."""
    sender, name = (chat.email, chat.name) if chat.staff is None else (world.address_of(str(chat.customer)), "")
    parsed = Parsed(message_id="", digest="", sender=sender, sender_name=name, newest=words)
    said = reading.read(parsed, nlp, moment, machine_mail=False)
    language = said.language if len(words.split()) >= SHORT else chat.language
    act = _act(chat, words, said)
    items = [
        Item(sku=g.sku, quantity=plain(g.quantity) if g.quantity is not None else None, uom=g.uom) for g in said.items
    ]
    items += [
        Item(sku=s, quantity=None, uom=None) for s in dict.fromkeys(said.skus_said) if s not in {i.sku for i in items}
    ]
    return Found(
        Heard(act, language, said.order, items, said.requested_date, _invoices(said), _foreign(said, act)),
        said,
        parsed,
        words,
        chat,
    )


def _act(chat: Chat, words: str, said: Understanding) -> Act:
    for pattern, act in ((YES, Act.SAYS_YES), (NO, Act.SAYS_NO)):
        if chat.pending is not None and pattern.match(words):
            return act
    if GREETING.match(words):
        return Act.GREETS
    if PERSON.search(words):
        return Act.WANTS_PERSON
    if said.order and (STATUS.search(words) or HELD.search(words)) and not _changes(said):
        return Act.ASKS_STATUS
    if INVOICES.search(words) and said.intent not in (Intent.ORDER_CHANGE, Intent.DELIVERY_DISCREPANCY):
        return Act.QUESTIONS_INVOICE if WRONG_INVOICE.search(words) else Act.ASKS_INVOICES
    if said.confidence < UNSURE or said.intent == Intent.OTHER:
        asks = (
            HELD.search(words) or said.order or any(r.kind in ("sales_order", "customer_po") for r in said.references)
        )
        return Act.ASKS_STATUS if asks else Act.UNCLEAR
    return OF_INTENT.get(Intent(said.intent), Act.UNCLEAR)


def _changes(said: Understanding) -> bool:
    """Whether it says how something should be instead, beyond asking."""
    return said.intent != Intent.ORDER_STATUS and bool(
        said.requested_date or any(g.quantity is not None for g in said.items)
    )


def _invoices(said: Understanding) -> list[str]:
    return [r.value for r in said.references if r.kind == "invoice" and r.own and r.value]


def _foreign(said: Understanding, act: Act) -> bool:
    """A number of somebody else's, or of nobody's; a new PO number of the customer's own is neither."""
    new = act == Act.ORDERS
    return any(not r.own and not (new and r.kind == "customer_po") for r in said.references)


class ItemHeard(BaseModel):
    """Goods of a message."""

    sku: str
    quantity: str | None
    uom: Literal["EA", "BX", "CS"] | None


class ChatHeard(BaseModel):
    """What one chat message means, in closed sets."""

    act: Act
    language: Literal["en", "es", "fr", "de"]
    order: str | None
    items: list[ItemHeard]
    day: str | None


class Worded(BaseModel):
    """An answer in words."""

    text: str


def by_model(found: Found, before: Sequence[str], ask: Ask) -> Found:
    """The same message as a language model reads it, as far as it can be checked. Raises Failed."""
    told = ask(_question(found, before)).form
    assert isinstance(told, ChatHeard)
    own = {card.number for card in found.said.facts.orders}
    skus = world.world().skus
    items = []
    for one in told.items:
        sku = skus.get(key(one.sku))
        quantity = quantity_of(one.quantity)
        if sku is not None:
            items.append(Item(sku=sku, quantity=plain(quantity) if quantity is not None else None, uom=one.uom))
    heard = replace(
        found.heard,
        act=told.act,
        language=told.language if len(found.words.split()) >= SHORT else found.chat.language,
        order=told.order if told.order in own else None,
        items=items,
        day=day.isoformat() if told.day and (day := day_of(told.day)) else None,
    )
    return replace(found, heard=heard)


def _question(found: Found, before: Sequence[str]) -> Question:
    filled = files.filled(("chat",), world.prompts_in_use(), our_name=world.our_name())
    facts = found.said.facts
    orders = [f"- {card.in_words()}" for card in facts.orders[:20]]
    waiting = found.chat.pending
    known = [
        f"The customer is {found.chat.customer}. Today is {world.now().date().isoformat()}.",
        "Its orders, newest first:",
        *orders,
        f"Spoken of last: {found.chat.memory.get('order') or 'no order'}.",
        f"Waits for a yes or no: {waiting['read_back']}" if waiting else "Nothing waits for a yes or no.",
    ]
    blocks = [files.untrusted("earlier in the chat", "\n".join(before)[-3000:])] if before else []
    told = "\n".join([*known, *blocks, files.untrusted("message", found.words)])
    return Question(
        "chat",
        filled.sha256,
        ({"role": "system", "content": filled.text}, {"role": "user", "content": told}),
        ChatHeard,
    )


def wording(words: str, language: str, facts: Sequence[str], plain_text: str) -> Question:
    """Ask for an answer in words, from facts that were looked up. It sees the customer's message as a block, and has no tools."""
    filled = files.filled(("wording",), world.prompts_in_use(), language=LANGUAGES[language])
    told = "\n".join(
        [
            "Facts:",
            *(f"- {f}" for f in facts),
            "",
            "Our own wording:",
            plain_text,
            "",
            files.untrusted("message", words),
        ]
    )
    return Question(
        "chat", filled.sha256, ({"role": "system", "content": filled.text}, {"role": "user", "content": told}), Worded
    )


LANGUAGES = {"en": "English", "es": "Spanish", "fr": "French", "de": "German"}
