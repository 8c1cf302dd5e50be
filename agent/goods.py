"""The goods a mail is about: by number, or by words when an order makes them plain, with quantities as the intent means them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from agent import quantities
from agent.linking import named_words
from agent.references import pattern
from erp_core.queries.references import OrderCard, key
from erp_core.values import Intent


@dataclass(frozen=True)
class Goods:
    """An item with quantity and unit as the mail says; unknown stays None."""

    sku: str
    quantity: Decimal | None
    uom: str | None
    part: str
    start: int
    end: int


def by_number(parts: Mapping[str, str], skus: Mapping[str, str], shapes: Sequence[str]) -> list[Goods]:
    """Items whose numbers stand in the newest parts, with the quantities beside them."""
    found: list[Goods] = []
    for part, text in parts.items():
        places = _places(text, skus, shapes)
        if places:
            named = quantities.items(text, places, {})
            found += [Goods(n.sku, n.quantity, n.uom, part, n.start, n.end) for n in named]
    return _merged(found)


def _places(text: str, skus: Mapping[str, str], shapes: Sequence[str]) -> list[tuple[str, int, int]]:
    places = []
    for shape in shapes:
        for hit in pattern(shape).finditer(text):
            sku = skus.get(key(hit.group(1)))
            if sku:
                places.append((sku, hit.start(1), hit.end(1)))
    return sorted(set(places), key=lambda p: p[1])


def _merged(found: Sequence[Goods]) -> list[Goods]:
    """Each item once: the mention with a quantity wins, the earlier of equals; two different quantities in one part both stay."""
    kept: dict[str, Goods] = {}
    for one in found:
        known = kept.get(one.sku)
        if known is None or (known.quantity is None and one.quantity is not None):
            kept[one.sku] = one
        elif known.uom is None and one.uom is not None and one.quantity == known.quantity:
            kept[one.sku] = one
    return list(kept.values())


RECEIVED = re.compile(
    r"\b(?:received|got|counted|delivered|arrived|came|found|have|only|there (?:is|are|were)|unloaded|opened|reçus?|recib\w+|llegaron|contamos|erhalten|bekommen|angekommen)\b", re.I
)
ORDERED = re.compile(r"\b(?:ordered|order(?:ed)? (?:was|is|for)|on (?:the )?(?:order|po|slip|invoice)|should (?:be|have been)|supposed|expected|expecting|invoice(?:d)?|billed|instead of|commandés?|pedid\w+|ordenad\w+|bestellt\w*|statt)\b", re.I)
AFFECTED = re.compile(
    r"\b(?:short(?:ed)?|missing|damaged|broken|crushed|dented|cracked|wrong|defective|bent|leaking|lost|faltan?|falt\w+|dañad\w+|rot[oa]s|manqu\w+|endommag\w+|cass[ée]\w*|fehl\w+|beschädigt\w*|defekt\w*|extra|too many|over)\b", re.I
)
REMOVED = re.compile(r"\b(?:cancel\w*|drop|remove|delete|scratch|take off|kill|no longer need|elimin\w*|quitar|cancel\w*|retirer|supprim\w*|annul\w*|streichen|stornier\w*)\b", re.I)


def settle(named: Sequence[Goods], parts: Mapping[str, str], card: OrderCard | None, orders: Sequence[OrderCard], intent: str) -> list[Goods]:
    """The goods as the intent means them: new quantities in a change, what is missing in a discrepancy."""
    goods = list(named) or _by_words(parts, card, orders, intent)
    if intent == Intent.DELIVERY_DISCREPANCY:
        return [_affected(one, parts, card, len(goods)) for one in goods]
    if intent in (Intent.ORDER_CHANGE, Intent.ORDER_CANCELLATION):
        return [_changed(one, parts, len(goods)) for one in goods]
    return goods


def _by_words(parts: Mapping[str, str], card: OrderCard | None, orders: Sequence[OrderCard], intent: str) -> list[Goods]:
    """Items described without number, when the order (or, without one, the customer's orders) makes them unique."""
    lines = list(card.lines) if card else list({line[1]: line for order in orders for line in order.lines}.values())
    if not card and intent not in (Intent.ORDER_STATUS, Intent.AVAILABILITY_QUOTE, Intent.PRICE_DISPUTE, Intent.ORDER_SUBMISSION, Intent.COMPLAINT):
        return []
    text = f"{parts['newest']}\n{parts['forwarded']}"
    whole = f"{parts['subject']}\n{text}"
    scores = {line[1]: named_words(line[2], whole) for line in lines}
    found = []
    for line in lines:
        score = scores[line[1]]
        rivals = [o for o in lines if o[1] != line[1] and scores[o[1]] >= score and _alike(o[2], line[2])]
        if score >= 0.5 and not rivals and (card is not None or score > 1.0):
            place = _place(line[2], text)
            count = _count_near(text, place) if place else None
            start, end = place or (0, 0)
            found.append(Goods(line[1], count.value if count else None, count.uom if count else None, "newest", start, end))
    return found


def _alike(one: str, other: str) -> bool:
    words = [set(re.findall(r"[a-z]{3,}", name.lower())) for name in (one, other)]
    return bool(words[0] & words[1])


def _place(name: str, text: str) -> tuple[int, int] | None:
    for word in reversed(re.findall(r"[a-z]{3,}", name.lower())):
        hit = re.search(rf"\b{re.escape(word.rstrip('s'))}(?:e?s)?\b", text, re.I)
        if hit:
            return hit.start(), hit.end()
    return None


def _count_near(text: str, place: tuple[int, int]) -> quantities.Count | None:
    """A number shortly before the word ("60 of the high bays"), else shortly after it in the same sentence."""
    start = max(text.rfind(c, 0, place[0]) for c in ".\n;!?") + 1
    before = [c for c in quantities.counts(text[start : place[0]])]
    if before and place[0] - start - before[-1].end < 28:
        return before[-1]
    stop = min((i for i in (text.find(c, place[1]) for c in "\n;!?") if i >= 0), default=len(text))
    after = quantities.counts(text[place[1] : stop])
    return after[0] if after and after[0].start < 25 else None


def _around(one: Goods, parts: Mapping[str, str], alone: bool) -> str:
    """The line of an item; the whole text when it is the only one."""
    text = parts.get(one.part, "")
    if alone and one.part in ("newest", "subject", "forwarded"):
        return f"{parts['subject']}\n{parts['newest']}\n{parts['forwarded']}"
    start, end = text.rfind("\n", 0, one.start) + 1, text.find("\n", one.end)
    return text[start : len(text) if end < 0 else end]


def _affected(one: Goods, parts: Mapping[str, str], card: OrderCard | None, count: int) -> Goods:
    """How many are missing, damaged or too many."""
    text = _around(one, parts, count == 1)
    ordered = next((line[3] for line in card.lines if line[1] == one.sku), None) if card else None
    found = quantities.counts(text)
    pairs = _short_of(text, found, ordered)
    if pairs is not None:
        return replace(one, quantity=pairs)
    return one


def _short_of(text: str, found: Sequence[quantities.Count], ordered: Decimal | None) -> Decimal | None:
    for count in found:
        near = text[max(0, count.start - 22) : count.start] + "|" + text[count.end : count.end + 28]
        if AFFECTED.search(near) and not ORDERED.search(text[count.end : count.end + 14]) and count.value != ordered:
            return count.value
    received = [c for c in found if RECEIVED.search(text[max(0, c.start - 34) : c.start]) or RECEIVED.match(text[c.end : c.end + 12].strip())]
    wanted = [c for c in found if ORDERED.search(text[max(0, c.start - 24) : c.start]) or ORDERED.match(text[c.end : c.end + 14].strip(" ,"))]
    full = ordered if ordered is not None and any(c.value == ordered for c in found) else (wanted[0].value if wanted else ordered)
    for count in received:
        if full is not None and count.value != full:
            return abs(full - count.value)
    if len(found) >= 2 and full is not None:
        other = next((c.value for c in found if c.value != full and c.value < full * 3), None)
        if other is not None and any(c.value == full for c in found):
            return abs(full - other)
    return None


def _changed(one: Goods, parts: Mapping[str, str], count: int) -> Goods:
    """The new quantity; 0 for a line to be dropped."""
    text = _around(one, parts, count == 1)
    new = quantities.change(text)
    if new is not None:
        return replace(one, quantity=new[1])
    if one.part != "subject" and REMOVED.search(_around(one, parts, False)) and not re.search(r"\b(?:keep|except|still want|not)\b", text, re.I):
        return replace(one, quantity=Decimal(0))
    return one
