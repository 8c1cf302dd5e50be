"""One mail understood: who, what about, which order, which items, by when, and how surely.

Linking uses only what the sender may know: the own address or domain, then numbers that belong to that customer. A number of
somebody else's is never linked; it is marked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from agent import besides, dates, goods, linking, machine, references, suspicion, weighing
from agent.mail.parse import Parsed
from agent.references import Found
from agent.signs import Sign, signs_of
from agent.suspicion import Mark
from erp_core.queries.references import Hit
from erp_core.values import Intent
from ml import pipeline, prepare
from ml.pipeline import Language
from tools import world
from tools.registry import together
from tools.world import SenderFacts, World

REF_KINDS = ("sales_order", "customer_po", "invoice", "shipment", "purchase_order", "tracking")


@dataclass(frozen=True)
class Reference:
    """A number in the mail: as written, what it is, and whose."""

    kind: str
    written: str
    value: str | None
    order: str | None
    own: bool
    part: str
    start: int
    end: int


@dataclass
class Understanding:
    """What a mail says, with places for evidence. Plain values; `facts` is what the world knew of the sender."""

    facts: SenderFacts
    intent: str = Intent.OTHER
    confidence: float = 0.0
    secondary: list[str] = field(default_factory=list)
    language: str = "en"
    auto: bool = False
    customer: str | None = None
    supplier: str | None = None
    order: str | None = None
    cited_order: str | None = None
    order_how: str = ""
    references: list[Reference] = field(default_factory=list)
    items: list[goods.Goods] = field(default_factory=list)
    requested_date: str | None = None
    date_place: tuple[int, int] | None = None
    marks: list[Mark] = field(default_factory=list)
    skus_said: list[str] = field(default_factory=list)
    own: str = ""
    passed_on: str = ""
    signs: frozenset[Sign] | None = None
    condition: str = ""  # what the wish depends on, as far as a model said so
    disagrees: list[str] = field(default_factory=list)

    @property
    def hostile(self) -> bool:
        return suspicion.is_hostile(self.marks)

    def refs(self) -> dict[str, list[str]]:
        """Numbers as written, by kind, each once."""
        return {k: list(dict.fromkeys(r.written for r in self.references if r.kind == k)) for k in REF_KINDS}


def read(parsed: Parsed, nlp: Language, moment: datetime, *, machine_mail: bool) -> Understanding:
    """Understand one message as of `moment`."""
    slow = world.world()
    parts = parts_of(parsed)
    with together():
        facts = world.sender_facts(parsed.sender, min(moment, sent_of(parsed, moment)))
        numbers = _numbers(parts, slow, of_supplier=facts.sender.supplier is not None)
    envelope = suspicion.envelope(parsed, facts.sender, slow.domains, slow.colleagues)
    trusted = not any(m.name in ("spoofed_sender", "lookalike_domain") for m in envelope)
    party = (facts.sender.customer or facts.sender.supplier) if trusted else None
    said = Understanding(facts, customer=facts.sender.customer if trusted else None)
    said.supplier = facts.sender.supplier if trusted else None
    said.own = prepare.own_words(parsed.newest, parsed.sender_name)
    said.passed_on = prepare.own_words(parsed.forwarded)
    settled = [_reference(found, hits, party) for found, hits in numbers]
    said.references = [r for r in settled if r is not None]
    reading = pipeline.read(nlp, parsed.subject, _for_models(said, parsed), parsed.sender_name)
    said.language = reading.language
    said.marks = [*envelope, *suspicion.content(parsed, facts.sender, slow.domains, reading.hostile)]
    named = goods.by_number(parts, slow.skus, slow.shapes.get("sku", []), slow.names)
    said.auto = not said.hostile and machine.is_machine(parsed, reading.intents.get("other", 0.0), machine_mail)
    _decide(said, reading, parsed, parts, named)
    _fill(said, parsed, parts, named, moment, lambda text: pipeline.read(nlp, "", text).intents.get(said.intent, 0.0))
    return said


def parts_of(parsed: Parsed) -> dict[str, str]:
    """What counts as the newest part: subject, own text, what was passed on, attachments."""
    parts = {"subject": parsed.subject, "newest": parsed.newest, "forwarded": parsed.forwarded}
    for position, attachment in enumerate(parsed.attachments):
        if attachment.text:
            parts[f"attachment {position + 1}"] = attachment.text[:20000]
    return parts


def _for_models(said: Understanding, parsed: Parsed) -> str:
    attached = "\n".join(a.text[:600] for a in parsed.attachments) if len(said.own) < 400 else ""
    return f"{said.own}\n{said.passed_on}\n{attached}".strip()


def _numbers(parts: dict[str, str], slow: World, *, of_supplier: bool) -> list[tuple[Found, list[Hit]]]:
    """Numbers in the mail, each with what it is among all of ours."""
    found = [
        f for part, text in parts.items() for f in references.find(part, text, slow.shapes, of_supplier=of_supplier)
    ]
    keys = {f: references.keys_of(f, slow.shapes) for f in found}
    hits = world.resolve({k for ks in keys.values() for k in ks})
    return [(f, [h for k in keys[f] for h in hits.get(k, [])]) for f in found]


def _reference(found: Found, hits: list[Hit], party: str | None) -> Reference | None:
    if found.kind == "ending":
        return Reference("customer_po", found.written, None, None, False, found.part, found.start, found.end)
    kind, hit = references.settle(found, hits, party)
    if kind is None:
        return None
    own = hit is not None and party is not None and hit.party == party
    value, order = (hit.value, hit.order) if hit else (None, None)
    return Reference(kind, found.written, value, order, own, found.part, found.start, found.end)


def _decide(
    said: Understanding, reading: pipeline.Reading, parsed: Parsed, parts: dict[str, str], named: list[goods.Goods]
) -> None:
    """Intent: the model's opinion, weighed with what the world knows of the order and the sender."""
    link = linking.by_number(said.facts.orders if said.customer else [], said.references, parts)
    signs = weighing.Signs(
        supplier=said.supplier is not None,
        auto=said.auto,
        reply=bool(parsed.in_reply_to or parsed.quoted),
        order_state=link.card.state if link.card else None,
        overdue=bool(
            link.card
            and link.card.requested_date
            and parsed.sent_at
            and link.card.requested_date.isoformat() < parsed.sent_at[:10]
        ),
        new_po=any(r.kind == "customer_po" and r.value is None for r in said.references),
        known_order=link.card is not None,
        invoice=any(r.kind == "invoice" for r in said.references),
        counted_items=sum(1 for n in named if n.quantity is not None),
        attached_items=sum(1 for n in named if n.part.startswith("attachment")),
        offer_quoted=weighing.offers_substitute(parsed.quoted),
        asks_for_money=weighing.from_accounts(parsed.sender),
        text=f"{parsed.subject}\n{said.own}\n{parsed.forwarded}",
    )
    weighed = weighing.weigh(reading.intents, signs)
    said.intent = max(weighed, key=lambda k: weighed[k])
    said.confidence = round(weighed[said.intent], 3)
    if not said.auto and said.intent != Intent.OTHER:
        own_words = f"{parsed.subject}\n\n{said.own}"
        said.secondary = [] if said.supplier else besides.asked(said.intent, own_words, signs_of(own_words))


def _fill(
    said: Understanding,
    parsed: Parsed,
    parts: dict[str, str],
    named: list[goods.Goods],
    moment: datetime,
    likely: Callable[[str], float],
) -> None:
    """Order, items and date, in the light of the intent."""
    orders = said.facts.orders if said.customer else []
    link = linking.link(
        orders,
        said.references,
        parts,
        parsed.quoted,
        said.intent,
        [n.sku for n in named],
        sent_of(parsed, moment).date(),
    )
    if link.how == linking.SEVERAL:
        link = linking.by_sentence(orders, said.references, parts, likely)
    card = link.card
    if said.intent == Intent.ORDER_SUBMISSION and not link.sure:
        card = None
    said.order, said.order_how = (card.number if card else None), link.how if card else ""
    cited = list(dict.fromkeys(r.order for r in said.references if r.order and not r.own))
    if said.customer is None and said.supplier is None and len(cited) == 1:
        said.cited_order = cited[0]
    if cited and said.customer is not None:
        said.marks.append(Mark("foreign_number", f"{', '.join(cited)} belongs to somebody else", "newest"))
    said.skus_said = [n.sku for n in named] + [
        g.sku
        for g in goods.by_number({"quoted": parsed.quoted}, world.world().skus, world.world().shapes.get("sku", []), {})
    ]
    if not said.auto:
        said.items = goods.settle(named, parts, card, orders, said.intent, world.world().names)
        day = dates.wanted(_dated_text(parts), sent_of(parsed, moment).date(), day_first=_day_first(said))
        if day is not None and (
            said.intent in DATED or (said.intent == Intent.ORDER_STATUS and dates.asks_whether(parsed.newest))
        ):
            said.requested_date, said.date_place = day.day.isoformat(), (day.start, day.end)


DATED = frozenset(
    {
        Intent.ORDER_SUBMISSION,
        Intent.ORDER_CHANGE,
        Intent.EXPEDITE_REQUEST,
        Intent.AVAILABILITY_QUOTE,
        Intent.SUBSTITUTION_RESPONSE,
    }
)


def _dated_text(parts: dict[str, str]) -> str:
    return "\n".join(
        [
            parts["newest"],
            parts["forwarded"],
            parts["subject"],
            *(t for p, t in parts.items() if p.startswith("attachment")),
        ]
    )


def sent_of(parsed: Parsed, moment: datetime) -> datetime:
    if parsed.sent_local:
        return datetime.fromisoformat(parsed.sent_local)
    return moment.astimezone(UTC)


def _day_first(said: Understanding) -> bool:
    """6/7 is June 7 in American English, and July 6 in the other languages."""
    return said.language != "en"
