"""The language model that reads mail: it sees outside text, has no tools, and returns typed fields alone. What it says is checked, then compared.

An order that is not the sender's, an item that is not in the catalogue, a number or quote that does not stand in the mail are dropped here.
The local reading stays where the model says nothing usable; where both differ, both are shown and the confidence is lower.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, Field

from agent import goods, linking, references
from agent.linking import in_english, named_words
from agent.llm import Ask, Question
from agent.mail.parse import Parsed
from agent.reading import REF_KINDS, Reference, Understanding, parts_of, sent_of
from agent.references import Found
from agent.signs import Sign
from agent.suspicion import Mark
from erp_core.queries.references import key
from erp_core.values import Intent
from prompts import files
from tools import world
from tools.registry import together

PROMPTS = ("triage", "extract")
CERTAINTY = {"sure": 0.95, "likely": 0.75, "unsure": 0.45}
DISAGREED = 0.8  # of the confidence is left when the local models, themselves sure enough, read another intent
SURE_ENOUGH = 0.5
MOST_ORDERS, MOST_ENTRIES = 25, 20
PRICED = (Intent.AVAILABILITY_QUOTE, Intent.PRICE_DISPUTE)
SHOWN = ("sales_order", "customer_po")  # the numbers that the list of a sender's orders has

Misleading = Literal[
    "none",
    "prompt_injection",
    "payment_fraud",
    "impersonation",
    "hidden_text",
    "malicious_attachment",
    "data_exfiltration",
]


class NumberRead(BaseModel):
    """A number as it stands in the message."""

    kind: Literal["sales_order", "customer_po", "invoice", "shipment", "purchase_order", "tracking"]
    written: str


class ItemRead(BaseModel):
    """Goods of the message."""

    sku: str
    quantity: str | None
    uom: Literal["EA", "BX", "CS"] | None
    quote: str


class MailRead(BaseModel):
    """What one message says, in closed sets and checkable quotes."""

    intent: Intent
    secondary: list[Intent]
    certainty: Literal["sure", "likely", "unsure"]
    language: Literal["en", "es", "fr", "de"]
    machine: bool
    misleading: Misleading
    signs: list[Sign]
    condition: Literal["none", "price", "day", "stock", "answer", "other"]
    quote: str
    references: list[NumberRead]
    order: str | None
    items: list[ItemRead] = Field(description="Each item once; of a price asked for several quantities, each quantity")
    requested_date: str | None
    date_quote: str | None


def read(said: Understanding, parsed: Parsed, moment: datetime, ask: Ask) -> Understanding:
    """The understanding as the language model has it, as far as it can be checked. Raises Failed, and then nothing has changed."""
    parts = parts_of(parsed)
    with together():  # over before it is asked
        asked = question(said, parsed, moment)
    told = ask(asked).form
    assert isinstance(told, MailRead)
    places = {**parts, "quoted": parsed.quoted}
    found = replace(said, marks=list(said.marks), disagrees=_disagreements(said, told))
    found.intent, found.language = told.intent, told.language
    found.confidence = CERTAINTY[told.certainty]
    if told.intent != said.intent and said.confidence >= SURE_ENOUGH:
        found.confidence = round(found.confidence * DISAGREED, 3)
    if told.misleading != "none":
        name = "dangerous_file" if told.misleading == "malicious_attachment" else told.misleading
        found.marks.append(Mark(name, told.quote[:300], "newest"))
    # a model's word alone makes no machine mail of it, for that would take it out of people's sight
    found.auto = said.auto and not found.hostile
    found.secondary = [i.value for i in dict.fromkeys(told.secondary) if i not in (told.intent, Intent.OTHER)][:3]
    depends = told.condition != "none"
    found.signs = frozenset({*told.signs, Sign.CONDITIONAL} if depends else {*told.signs} - {Sign.CONDITIONAL})
    found.condition = told.condition if depends else ""
    found.references = _references(said, told, parts)
    found.items = [] if found.auto else _items(told, places, found)
    _link(found, told, places)
    found.skus_said = sorted({g.sku for g in found.items} | set(said.skus_said))
    found.requested_date, found.date_place = None, None
    if told.requested_date and (day := day_of(told.requested_date)) and day >= sent_of(parsed, moment).date():
        found.requested_date = day.isoformat()
        place = _place(told.date_quote or "", {"newest": parts["newest"]})
        found.date_place = (place[1], place[2]) if place else None
    return found


def question(said: Understanding, parsed: Parsed, moment: datetime) -> Question:
    """The one question about a message: instructions, our own facts of its sender, and the message in blocks."""
    day_first = said.language != "en"
    rule = f"A date like 6/7 is read {'day' if day_first else 'month'} first."
    filled = files.filled(PROMPTS, world.prompts_in_use(), our_name=world.our_name(), reads_day_first=rule)
    told = "\n".join([_facts(said, parsed, moment), *_blocks(parsed)])
    messages = ({"role": "system", "content": filled.text}, {"role": "user", "content": told})
    return Question("read", filled.sha256, messages, MailRead)


def _facts(said: Understanding, parsed: Parsed, moment: datetime) -> str:
    sent, facts = sent_of(parsed, moment).date(), said.facts
    who = "nobody we know"
    if said.customer:
        who = f"customer {said.customer}, {facts.name}"
    elif said.supplier:
        who = f"supplier {said.supplier}"
    noticed = ", ".join(sorted({m.name for m in said.marks})) or "nothing"
    orders = [f"- {card.in_words()}" for card in (facts.orders if said.customer else [])[:MOST_ORDERS]]
    bought = world.expected_from(said.supplier) if said.supplier else []
    entries = [f"- {sku} {name}" for sku, name in _entries(said, parsed).items()]
    return "\n".join(
        [
            f"The message was sent on {sent:%A}, {sent.isoformat()}.",
            f"By our own records its sender is {who}. Our checks noticed: {noticed}.",
            "The sender's orders, newest first:" if orders else "There are no orders of the sender to choose from.",
            *orders,
            *(["Our purchase orders with this supplier:", *bought] if bought else []),
            *(["Catalogue entries that may be meant:", *entries] if entries else []),
            "The message:",
        ]
    )


def _entries(said: Understanding, parsed: Parsed) -> dict[str, str]:
    """Items that the message names by number, or whose names it comes near."""
    names = world.world().names
    found = {sku: names[sku] for sku in said.skus_said if sku in names}
    if len(names) <= goods.LARGEST_CATALOG:
        text = in_english(f"{parsed.subject}\n{parsed.newest}\n{parsed.forwarded}").lower()
        scored = sorted(((named_words(name, text), sku) for sku, name in names.items()), reverse=True)
        found |= {sku: names[sku] for score, sku in scored[:MOST_ENTRIES] if score > 0}
    return dict(list(found.items())[: 2 * MOST_ENTRIES])


def _blocks(parsed: Parsed) -> list[str]:
    """The message in labelled blocks, at most as long as policy lets a model see; its newest part first."""
    left = world.policy_in_force().language_model.longest_text
    hidden = "\n".join(parsed.hidden)
    attached = [(f"attachment {a.name}", a.text) for a in parsed.attachments]
    named = [(f"name of attachment {n}", f"{a.name} ({a.type})") for n, a in enumerate(parsed.attachments, 1)]
    told = [
        ("from", f"{parsed.sender_name} <{parsed.sender}>"),
        ("subject", parsed.subject),
        ("newest text", parsed.newest),
    ]
    told += [
        ("forwarded message", parsed.forwarded),
        *named,
        *attached,
        ("quoted history", parsed.quoted),
        ("hidden from the reader", hidden),
    ]
    blocks = []
    for label, text in told:
        shown = text[:left]
        left -= len(shown)
        if shown.strip():
            cut = "\n(cut here; it goes on)" if len(shown) < len(text) else ""
            blocks.append(files.untrusted(label, shown + cut))
    return blocks


def _disagreements(said: Understanding, told: MailRead) -> list[str]:
    """What the local models read otherwise, in words."""
    found = []
    if told.intent != said.intent:
        found.append(f"the local models read {said.intent.replace('_', ' ')}")
    if told.machine and not said.auto:
        found.append("the language model takes it for machine mail")
    if said.order and told.order != said.order:
        found.append(f"the local models link {said.order}")
    if said.requested_date and told.requested_date != said.requested_date:
        found.append(f"the local models read {said.requested_date} as the day wanted")
    mine = {g.sku: g.quantity for g in said.items}
    theirs = {i.sku: quantity_of(i.quantity) for i in told.items}
    found += [f"the local models read {q} for {s}" for s, q in mine.items() if q is not None and theirs.get(s) != q]
    return found


def _references(said: Understanding, told: MailRead, parts: Mapping[str, str]) -> list[Reference]:
    """Numbers that stand in the newest part, each with whose it is by our own records."""
    party = said.customer or said.supplier
    kept = {key(r.written): r for r in said.references if key(r.written) in {key(n.written) for n in told.references}}
    shapes = world.world().shapes
    fresh = []
    for number in told.references:
        place = _place(number.written, parts)
        if place and key(number.written) not in kept and number.kind in REF_KINDS:
            fresh.append((number.kind, Found(number.kind, number.written, *place)))
    hits = world.resolve({k for _, f in fresh for k in references.keys_of(f, shapes)})
    for kind, one in fresh:
        mine = [h for k in references.keys_of(one, shapes) for h in hits.get(k, []) if h.kind == kind]
        hit = next((h for h in mine if party and h.party == party), mine[0] if mine else None)
        own = hit is not None and party is not None and hit.party == party
        value, order = (hit.value, hit.order) if hit else (None, None)
        kept[key(one.written)] = Reference(kind, one.written, value, order, own, one.part, one.start, one.end)
    return list(kept.values())


def _link(found: Understanding, told: MailRead, places: dict[str, str]) -> None:
    """Only an order of the sender's own that something in the message shows; what else is named stays unlinked."""
    own = {card.number: card for card in found.facts.orders} if found.customer else {}
    local, found.order, found.order_how = found.order, None, ""
    own_numbers = [r for r in found.references if r.own and r.order in own]
    named = {r.order for r in own_numbers}
    if card := own.get(told.order or ""):
        skus = [g.sku for g in found.items]
        how = linking.shown(card, found.facts.orders, places, told.intent, skus)
        if card.number in named or card.number == local:
            how = how or "what the numbers belong to"
        if local in named - {card.number} and card.number in named:
            found.disagrees.append(f"the language model links {card.number}; both are named, so neither is linked")
        elif how:
            found.order, found.order_how = card.number, how
        else:
            found.disagrees.append(f"the language model links {card.number}, which nothing in the message shows")
    elif told.intent != Intent.ORDER_SUBMISSION and len(named) == 1:
        # the list of orders shows no invoices and shipments; whose they are, our records say. What it shows, the model has judged.
        shown = {card.number for card in found.facts.orders[:MOST_ORDERS]}
        if any(r.kind not in SHOWN or r.order not in shown for r in own_numbers):
            found.order, found.order_how = named.pop(), "what the numbers belong to"
    cited = {r.order for r in found.references if r.order and not r.own}
    foreign = bool(cited) and found.customer is not None
    if foreign and not any(m.name == "foreign_number" for m in found.marks):
        found.marks.append(
            Mark("foreign_number", f"{', '.join(sorted(map(str, cited)))} belongs to somebody else", "newest")
        )


def _items(told: MailRead, places: Mapping[str, str], found: Understanding) -> list[goods.Goods]:
    """Items of the catalogue, with quantities that are numbers; the place where each stands, if its quote does."""
    known, kept = world.world().skus, {}
    for item in told.items:
        sku, quantity = known.get(key(item.sku)), quantity_of(item.quantity)
        # a price is asked for several quantities of one item
        name = (sku, quantity if told.intent in PRICED else None)
        if sku is not None and name not in kept:
            kept[name] = goods.Goods(sku, quantity, item.uom, *(_place(item.quote, places) or ("words", 0, 0)))
    return list(kept.values())


def quantity_of(text: str | None) -> Decimal | None:
    """A quantity that can be ordered; None for what is none."""
    if text is None or not re.fullmatch(r"\d{1,7}(?:\.\d{1,3})?", text.strip()):
        return None
    return Decimal(text.strip())


def day_of(text: str) -> date | None:
    """A day written as YYYY-MM-DD; None for what is none."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _place(quote: str, parts: Mapping[str, str]) -> tuple[str, int, int] | None:
    """Where a quote stands, letter by letter but for white space: part, start, end."""
    words = files.as_written(quote).split()
    if not words:
        return None
    pattern = re.compile(r"\s+".join(map(re.escape, words)), re.I)
    for part, text in parts.items():
        hit = pattern.search(text)
        if hit:
            return part, hit.start(), hit.end()
    return None
