"""Which of the sender's own orders a mail is about."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from erp_core.queries.references import OrderCard, key
from erp_core.values import Intent

if TYPE_CHECKING:
    from agent.reading import Reference

LIVE = frozenset(
    {Intent.ORDER_CHANGE, Intent.ORDER_CANCELLATION, Intent.EXPEDITE_REQUEST, Intent.SUBSTITUTION_RESPONSE}
)
ARRIVED = frozenset({Intent.DELIVERY_DISCREPANCY, Intent.RETURN_REQUEST})
LINKED = LIVE | ARRIVED | {Intent.ORDER_STATUS, Intent.PRICE_DISPUTE, Intent.INVOICE_QUERY, Intent.COMPLAINT}
LATEST = re.compile(
    r"\b(?:my|our|the|that) (?:last|latest|most recent) order\b|\búltimo pedido\b|\bdernière commande\b|\bletzte bestellung\b",
    re.I,
)
SECONDARY = re.compile(
    r"\b(?:also|besides|by the way|btw|separately|additionally|p\.?s\.?|other one|unlike|same as|not on|together with|ship with|like on|compare|reference|last time|previous)\b[^.\n]*$",
    re.I,
)


@dataclass(frozen=True)
class Link:
    """The order, how it was found, and whether a number says so."""

    card: OrderCard | None
    how: str = ""
    sure: bool = False


def by_number(orders: Sequence[OrderCard], references: Sequence[Reference], parts: dict[str, str]) -> Link:
    """The one order that the numbers of the newest part name."""
    cards = {card.number: card for card in orders}
    named: list[tuple[str, Reference]] = []
    for reference in references:
        number = reference.order if reference.own else _ending(orders, reference)
        if number in cards:
            named.append((number, reference))
    numbers = list(dict.fromkeys(number for number, _ in named))
    if len(numbers) == 1:
        return Link(cards[numbers[0]], f"{named[0][1].kind.replace('_', ' ')} {named[0][1].written}", True)
    if len(numbers) > 1:
        return _main(cards, named, parts)
    return Link(None)


def _main(cards: dict[str, OrderCard], named: list[tuple[str, Reference]], parts: dict[str, str]) -> Link:
    """Of several orders the one in the subject, or the one that is not mentioned merely besides."""
    subject = {number for number, r in named if r.part == "subject"}
    if len(subject) == 1:
        number = subject.pop()
        return Link(cards[number], "number in the subject", True)
    main = [n for n, r in named if not SECONDARY.search(parts.get(r.part, "")[max(0, r.start - 60) : r.start])]
    counted = Counter(main)
    if len(counted) == 1:
        return Link(cards[next(iter(counted))], "the number not mentioned besides", True)
    best = counted.most_common(2)
    if len(best) == 2 and best[0][1] >= best[1][1] + 1:
        return Link(cards[best[0][0]], "number named most", True)
    return Link(None, SEVERAL, True)


SEVERAL = "several orders named"
ENDS = ".!?;\n"
NEAR_BY, MOST_SENTENCES = 250, 12
SAYS, SAYS_NOT = 0.4, 0.2  # the mail's intent in the sentence of the order that is meant, and in those of the others


def by_sentence(
    orders: Sequence[OrderCard],
    references: Sequence[Reference],
    parts: dict[str, str],
    likely: Callable[[str], float],
) -> Link:
    """Of several orders the one whose sentence says what the mail mainly wants; `likely`: how likely a sentence says that."""
    sentences: dict[str, set[str]] = {}
    for reference in references:
        if reference.own and reference.order is not None and reference.part != "subject":
            sentences.setdefault(reference.order, set()).add(_sentence(parts.get(reference.part, ""), reference.start))
    if sum(map(len, sentences.values())) > MOST_SENTENCES:
        return Link(None, SEVERAL, True)
    best = {order: max(map(likely, said)) for order, said in sentences.items()}
    ranked = sorted(best, key=lambda number: -best[number])
    if len(ranked) < 2 or best[ranked[0]] < SAYS or best[ranked[1]] > SAYS_NOT:
        return Link(None, SEVERAL, True)
    card = next((c for c in orders if c.number == ranked[0]), None)
    return Link(card, "the sentence that says so", True)


def _sentence(text: str, place: int) -> str:
    """The sentence around a place, of at most some hundred letters on either side."""
    start = max([place - NEAR_BY, *(text.rfind(mark, 0, place) + 1 for mark in ENDS)])
    end = min([place + NEAR_BY, *(found for mark in ENDS if (found := text.find(mark, place)) >= 0)])
    return text[start:end]


def _ending(orders: Sequence[OrderCard], reference: Reference) -> str | None:
    if reference.value is not None or reference.kind != "customer_po" or len(reference.written) > 6:
        return None
    tail = key(reference.written)
    fits = [c.number for c in orders if key(c.customer_po or "").endswith(tail) or key(c.number).endswith(tail)]
    return fits[0] if len(fits) == 1 else None


def link(
    orders: Sequence[OrderCard],
    references: Sequence[Reference],
    parts: dict[str, str],
    quoted: str,
    intent: str,
    skus: Sequence[str],
    sent: date,
) -> Link:
    """By numbers; else by numbers of the history; else by goods; else the only order in question."""
    found = by_number(orders, references, parts)
    if found.card or found.sure:
        return found
    if (
        intent not in LINKED
        or not orders
        or any(r.kind in ("customer_po", "invoice", "tracking") and r.value is None for r in references)
    ):
        return Link(None)
    old = {c.number for c in orders if _mentions(quoted, c)}
    if len(old) == 1:
        return Link(next(c for c in orders if c.number in old), "number in the earlier mail")
    text = f"{parts['subject']}\n{parts['newest']}\n{parts['forwarded']}"
    pool = [c for c in orders if c.state in _states(intent)]
    if LATEST.search(text) and orders:
        return Link(orders[0], "the latest order")
    by_goods = _by_goods(pool, skus, text)
    if by_goods:
        return Link(by_goods, "the only order with these goods")
    if intent in (Intent.PRICE_DISPUTE, Intent.INVOICE_QUERY, Intent.COMPLAINT):
        return Link(None)
    by_day = _by_day(pool, text, sent)
    if by_day:
        return Link(by_day, "the order of that day")
    if len(pool) == 1 and not skus:
        return Link(pool[0], "the customer's only order in question")
    return Link(None)


def shown(card: OrderCard, orders: Sequence[OrderCard], parts: dict[str, str], intent: str, skus: Sequence[str]) -> str:
    """What in the message shows that this order is meant, whoever says so: a number of it, its goods alone, or that no other is in question; else nothing."""
    newest = "\n".join(text for part, text in parts.items() if part != "quoted")
    if _mentions(newest, card):
        return "the number"
    if _mentions(parts.get("quoted", ""), card):
        return "the number in the earlier mail"
    if intent == Intent.ORDER_SUBMISSION:
        return ""  # what is ordered anew is like many an old order; only a number says that one is meant besides
    alike = [c for c in orders if c.state in _states(intent)] if card.state in _states(intent) else list(orders)
    if skus and [c for c in alike if set(skus) & {line[1] for line in c.lines}] == [card]:
        return "the only order with these goods"
    if intent == Intent.COMPLAINT:
        return ""  # a grievance that names no order is about more than one may guess
    if not skus and (_by_goods(alike, (), newest) == card or (LATEST.search(newest) and orders[0] == card)):
        return "the only order that fits the words"
    return "the customer's only order in question" if alike == [card] else ""


def _states(intent: str) -> tuple[str, ...]:
    if intent in LIVE:
        return ("open",)
    if intent in ARRIVED:
        return ("delivered", "shipped")
    if intent == Intent.ORDER_STATUS:
        return ("open", "shipped")
    return ("open", "shipped", "delivered")


def _mentions(text: str, card: OrderCard) -> bool:
    flat = key(text)
    return bool(text) and any(n and len(key(n)) >= 5 and key(n) in flat for n in (card.number, card.customer_po))


def _by_goods(pool: Sequence[OrderCard], skus: Sequence[str], text: str) -> OrderCard | None:
    if skus:
        holding = [c for c in pool if set(skus) <= {line[1] for line in c.lines}]
        return holding[0] if len(holding) == 1 else None
    low = in_english(text).lower()
    scored = [(max((named_words(line[2], low) for line in c.lines), default=0.0), c) for c in pool]
    best = max((s for s, _ in scored), default=0.0)
    fits = [c for s, c in scored if s == best]
    return fits[0] if best > 0 and len(fits) == 1 else None


def _by_day(pool: Sequence[OrderCard], text: str, sent: date) -> OrderCard | None:
    days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
    hit = re.search(rf"\b({'|'.join(days)})(?:'s|’s)? (?:order|delivery|shipment)\b", text, re.I)
    if not hit:
        return None
    weekday = days.index(hit.group(1).lower())
    fits = [c for c in pool if c.ordered_at.date().weekday() == weekday and 0 <= (sent - c.ordered_at.date()).days <= 8]
    return fits[0] if len(fits) == 1 else None


STOP = frozenset(
    [
        "model",
        "the",
        "and",
        "for",
        "with",
        "brass",
        "steel",
        "box",
        "pack",
        "case",
        "set",
        "size",
        "type",
        "gal",
        "awg",
        "mil",
        "thhn",
        "pole",
    ]
)
# trade words of other languages, to the word that our item names use
ABROAD = {
    "luminaire": "bay", "luminaires": "bays", "luminaria": "bay", "luminarias": "bays", "lámpara": "bay", "lámparas": "bays", "leuchte": "bay", "leuchten": "bays", "hallenleuchten": "bays",
    "válvula": "valve", "válvulas": "valves", "vanne": "valve", "vannes": "valves", "ventil": "valve", "ventile": "valves", "ventilen": "valves",
    "guante": "glove", "guantes": "gloves", "gant": "glove", "gants": "gloves", "handschuh": "glove", "handschuhe": "gloves",
    "casco": "hat", "cascos": "hats", "casque": "hat", "casques": "hats", "helme": "hats", "schutzhelme": "hats",
    "lentes": "glasses", "gafas": "glasses", "lunettes": "glasses", "schutzbrillen": "glasses",
    "tornillo": "screw", "tornillos": "screws", "pija": "screw", "pijas": "screws", "vis": "screws", "schrauben": "screws", "tire-fonds": "lag", "tire-fond": "lag",
    "ancla": "anchor", "anclas": "anchors", "taquete": "anchor", "taquetes": "anchors", "ancrage": "anchor", "ancrages": "anchors", "anker": "anchors", "dübel": "anchors",
    "balero": "bearing", "baleros": "bearings", "rodamiento": "bearing", "rodamientos": "bearings", "roulement": "bearing", "roulements": "bearings", "kugellager": "bearings", "lager": "bearings",
    "cadena": "chain", "cadenas": "chains", "chaîne": "chain", "chaînes": "chains", "kette": "chain", "ketten": "chains",
    "banda": "belt", "bandas": "belts", "correa": "belt", "correas": "belts", "courroie": "belt", "courroies": "belts", "keilriemen": "belts", "riemen": "belts",
    "motores": "motors", "moteur": "motor", "moteurs": "motors", "motoren": "motors",
    "contactor": "contactor", "contactores": "contactors", "contacteur": "contactor", "contacteurs": "contactors", "schütze": "contactors", "schütz": "contactor",
    "interruptor": "breaker", "interruptores": "breakers", "disjoncteur": "breaker", "disjoncteurs": "breakers", "sicherungsautomaten": "breakers", "schutzschalter": "breakers",
    "cable": "cable", "cables": "cables", "câble": "cable", "câbles": "cables", "kabel": "cable", "kabelrollen": "cable",
    "bolsas": "liners", "bolsa": "liner", "sacs": "liners", "müllbeutel": "liners", "müllsäcke": "liners", "toallas": "towels", "essuie-tout": "towel", "papierhandtücher": "towels",
    "desengrasante": "degreaser", "dégraissant": "degreaser", "entfetter": "degreaser", "decapante": "stripper", "décapant": "stripper", "bodenabbeizer": "stripper", "grundreiniger": "stripper",
    "cartucho": "cartridge", "cartuchos": "cartridges", "cartouche": "cartridge", "cartouches": "cartridges",
}  # fmt: skip


def in_english(text: str) -> str:
    """The text with trade words of other languages followed by ours."""
    return re.sub(
        r"[\w-]+",
        lambda m: f"{m.group()} {ABROAD[m.group().lower()]}" if m.group().lower() in ABROAD else m.group(),
        text,
    )


def named_words(name: str, text: str) -> float:
    """How much of an item's name a text (lower case) holds: its words, singular or plural, and its number as a tie-breaker."""
    words = [w for w in re.findall(r"[a-z]{3,}", name.lower()) if w not in STOP]
    if not words:
        return 0.0
    held = [w for w in words if w.rstrip("s") in text and re.search(rf"\b{re.escape(w.rstrip('s'))}(?:e?s)?\b", text)]
    if not held or (words[-1] not in held and len(held) < 2 and not (words[0] in held and len(words[0]) > 5)):
        return 0.0
    score = len(held) / len(words)
    if any(re.search(rf"(?<!\d){n}(?!\d)", text) for n in re.findall(r"\d+", name)):
        score += 0.5
    return score
