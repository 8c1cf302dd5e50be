"""The goods a mail is about: by number, or by words when an order makes them plain, with quantities as the intent means them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from itertools import pairwise
from typing import Any

from agent import quantities
from agent.linking import in_english, named_words
from agent.references import pattern
from erp_core.queries.references import OrderCard, key
from erp_core.values import Intent, plain


@dataclass(frozen=True)
class Goods:
    """An item with quantity and unit as the mail says; unknown stays None."""

    sku: str
    quantity: Decimal | None
    uom: str | None
    part: str
    start: int
    end: int

    def as_json(self) -> dict[str, Any]:
        """Plain JSON for the state of a run; quantities as text."""
        return {**asdict(self), "quantity": plain(self.quantity) if self.quantity is not None else None}


Line = tuple[int, str, str, Decimal, str]  # line, sku, item name, quantity, uom
LARGEST_CATALOG = 3000  # beyond this, words alone name no item


def by_number(
    parts: Mapping[str, str], skus: Mapping[str, str], shapes: Sequence[str], names: Mapping[str, str]
) -> list[Goods]:
    """Items whose numbers stand in the newest parts, with the quantities beside them."""
    found: list[Goods] = []
    for part, text in parts.items():
        places = _places(text, skus, shapes)
        if places:
            sizes = {sku: numbers_of(names.get(sku, "")) for sku, _, _ in places}
            found += [
                Goods(n.sku, n.quantity, n.uom, part, n.start, n.end) for n in quantities.items(text, places, sizes)
            ]
    return _merged(found)


def numbers_of(name: str) -> frozenset[str]:
    """Numbers in an item's own name, which are no quantities."""
    return frozenset(re.findall(r"\d+", name))


def _places(text: str, skus: Mapping[str, str], shapes: Sequence[str]) -> list[tuple[str, int, int]]:
    places = []
    for shape in shapes:
        for hit in pattern(shape).finditer(text):
            sku = skus.get(key(hit.group(1)))
            if sku:
                places.append((sku, hit.start(1), hit.end(1)))
    return sorted(set(places), key=lambda p: p[1])


def _merged(found: Sequence[Goods]) -> list[Goods]:
    """Each item once: the mention with a quantity wins, the earlier of equals."""
    kept: dict[str, Goods] = {}
    for one in found:
        known = kept.get(one.sku)
        better_unit = known is not None and known.uom is None and one.uom is not None and one.quantity == known.quantity
        if known is None or (known.quantity is None and one.quantity is not None) or better_unit:
            kept[one.sku] = one
    return list(kept.values())


RECEIVED = re.compile(
    r"\b(?:received|rec'?d|got|counted|delivered|arrived|came|found|have|only|there(?:'s| is| are| were)|unloaded|opened|in\b|on the (?:floor|pallet)|reçus?|recib\w+|llegaron|contamos|erhalten|"
    r"bekommen|angekommen)\b",
    re.I,
)
ORDERED = re.compile(
    r"\b(?:ordered|order(?:ed)? (?:was|is|for)|was for|on (?:the |our )?(?:order|po|slip|invoice)|should (?:be|have been)|supposed|expected|expecting|invoiced?|billed|instead of|not|bills us for|"
    r"commandés?|pedid\w+|ordenad\w+|bestellt\w*|statt|berechnet)\b",
    re.I,
)
AFFECTED = re.compile(
    r"\b(?:short(?:ed)?|missing|damaged|broken|crushed|dented|cracked|crack|wrong|defective|bent|leak\w*|lost|wet|soak\w*|torn|scratched|failed|burst|faulty|smashed|rusty|faltan?|falt\w+|dañad\w+|"
    r"rot[oa]s|golpead\w+|manqu\w+|endommag\w+|cass[ée]\w*|fehl\w+|beschädigt\w*|defekt\w*|extra|too many|over|surplus|de más|en trop|zu viel)\b",
    re.I,
)
FINE = re.compile(
    r"(?:\b(?:ok|okay|fine|correct|right|complete|good|there|all here|as ordered|in order|completos?|correct\w*|complets?|vollständig|stimm\w+)\b|\[x\])",
    re.I,
)
REMOVED = re.compile(
    r"\b(?:cancel\w*|drop|remove|delete|scratch|take off|kill|no longer need|elimin\w*|quit\w+|retirer|supprim\w*|annul\w*|streichen|stornier\w*)\b",
    re.I,
)
KEPT = re.compile(r"\b(?:keep|except|still want|but not|leave|mantener|garder|behalten|rest (?:stays|is))\b", re.I)
PARTLY = re.compile(r"\b(?:only|just|lines?|part(?:ial\w*)?|solo|sólo|seulement|nur|position|línea|ligne)\b", re.I)
OF = re.compile(
    r"\s*(?:\(\d+\)\s*)?(?:[a-z]{1,8}\.?\s+)?(?:of|out of|de|von|sur|/)\s+(?:the |our |those |these |las |los |les |den |dem )?",
    re.I,
)
OF_ALL = re.compile(
    r"(?:^|[\n.,;:!?–—]\s*)(?:out )?(?:of|de|von|sur)\s+(?:the |our |those |these |las |los |les |den )?$", re.I
)
SAID_SHORT = re.compile(
    rf"\b(?:short(?:ed)?(?: by)?|missing|faltan?|manquent|manque|fehlen|damaged|over by)\s+(?P<n>{quantities._NUM})",
    re.I,
)
OTHERS = re.compile(r"\b(?:other|rest|balance|remaining|remainder|demás|reste|übrigen)\b", re.I)


def settle(
    named: Sequence[Goods],
    parts: Mapping[str, str],
    card: OrderCard | None,
    orders: Sequence[OrderCard],
    intent: str,
    names: Mapping[str, str],
) -> list[Goods]:
    """The goods as the intent means them: new quantities in a change, what is missing in a discrepancy."""
    goods = list(named) or _by_words(parts, card, orders, intent, names)
    if intent == Intent.DELIVERY_DISCREPANCY:
        return _affected_ones(goods, parts, card, names)
    if intent == Intent.ORDER_CHANGE:
        changed = [_changed(one, parts, len(goods), names) for one in goods]
        return [c for c in changed if not _said_fine(c, parts)] or changed
    if intent == Intent.ORDER_CANCELLATION:
        partly = PARTLY.search(parts["newest"]) is not None or KEPT.search(parts["newest"]) is not None
        return [_dropped(one, parts) for one in goods] if partly else ([*named] if named else goods)
    if intent == Intent.RETURN_REQUEST:
        return [_part(one, parts, len(goods), names) for one in goods]
    if intent == Intent.EXPEDITE_REQUEST:
        goods = [_named_part(one, _around(one, parts, len(goods) == 1)) or one for one in goods]
    if len(goods) == 1 and goods[0].quantity is None:
        return [_lone(goods[0], parts, names)]
    return goods


def _part(one: Goods, parts: Mapping[str, str], count: int, names: Mapping[str, str]) -> Goods:
    """Of fifty bought, the four to be sent back."""
    text = _around(one, parts, count == 1)
    if (part := _named_part(one, text)) is not None:
        return part
    found = _counts(text, names.get(one.sku, ""))
    if count == 1 and len(found) >= 2:
        hit = next((c for c in found if AFFECTED.search(_clause(text, c))), None)
        return replace(one, quantity=hit.value) if hit else one
    return _lone(one, parts, names) if count == 1 and one.quantity is None else one


def _named_part(one: Goods, text: str) -> Goods | None:
    """Ten of the fifty cases: ten."""
    pair = _part_of_whole(text)
    return replace(one, quantity=pair[0].value, uom=pair[0].uom or pair[1].uom) if pair is not None else None


def _lone(one: Goods, parts: Mapping[str, str], names: Mapping[str, str]) -> Goods:
    """The only item of a mail takes the only quantity of the mail."""
    own = numbers_of(names.get(one.sku, ""))
    found = [c for c in quantities.counts(f"{parts['subject']}\n{parts['newest']}") if c.uom or str(c.value) not in own]
    with_unit = [c for c in found if c.uom]
    chosen = with_unit if len({c.value for c in with_unit}) == 1 else found
    return replace(one, quantity=chosen[0].value, uom=chosen[0].uom) if len({c.value for c in chosen}) == 1 else one


def _by_words(
    parts: Mapping[str, str], card: OrderCard | None, orders: Sequence[OrderCard], intent: str, names: Mapping[str, str]
) -> list[Goods]:
    """Items described without number, when the order (or, without one, the customer's orders) makes them unique."""
    if intent in (
        Intent.ACCOUNT_CHANGE,
        Intent.OTHER,
        Intent.CREDIT_AND_PAYMENT,
        Intent.INVOICE_QUERY,
        Intent.SUPPLIER_NOTICE,
    ):
        return []
    lines: list[Line] = list(card.lines) if card else list({x[1]: x for order in orders for x in order.lines}.values())
    if not card and len(names) <= LARGEST_CATALOG:
        known = {line[1] for line in lines}
        lines += [(0, sku, name, Decimal(0), "EA") for sku, name in names.items() if sku not in known]
    text = in_english(f"{parts['newest']}\n{parts['forwarded']}")
    low = f"{in_english(parts['subject'])}\n{text}".lower()
    scores = {line[1]: named_words(line[2], low) for line in lines}
    found = []
    for line in lines:
        score = scores[line[1]]
        if score < (0.45 if card else 1.3) or any(
            scores[o[1]] >= score and _alike(o[2], line[2]) for o in lines if o[1] != line[1]
        ):
            continue
        place = _place(line[2], text)
        count = _count_near(text, place, numbers_of(line[2])) if place else None
        start, end = place or (0, 0)
        found.append(Goods(line[1], count.value if count else None, count.uom if count else None, "words", start, end))
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


def _count_near(text: str, place: tuple[int, int], sizes: frozenset[str]) -> quantities.Count | None:
    """A number shortly before the word ("60 of the high bays"), else shortly after it in the same sentence."""
    start = max(text.rfind(c, 0, place[0]) for c in (". ", "\n", ";", "!", "?")) + 1
    before = [c for c in quantities.counts(text[start : place[0]]) if c.uom or str(c.value) not in sizes]
    if before and place[0] - start - before[-1].end < 34:
        return before[-1]
    stop = min((i for i in (text.find(c, place[1]) for c in ("\n", ";", "!", "? ", ". ")) if i >= 0), default=len(text))
    after = [c for c in quantities.counts(text[place[1] : stop]) if c.uom or str(c.value) not in sizes]
    return after[0] if after and after[0].start < 30 else None


def _around(one: Goods, parts: Mapping[str, str], alone: bool) -> str:
    """The line or sentence of an item; the whole text when it is the only one."""
    if alone and one.part in ("newest", "subject", "forwarded", "words"):
        return in_english(f"{parts['subject']}\n{parts['newest']}\n{parts['forwarded']}")
    text = in_english(f"{parts['newest']}\n{parts['forwarded']}") if one.part == "words" else parts.get(one.part, "")
    start, end = text.rfind("\n", 0, one.start) + 1, text.find("\n", one.end)
    line = text[start : len(text) if end < 0 else end]
    if (len(line) < 90 or "\t" in line) and text.count("\n") > 2:
        return line
    dot = max(text.rfind(". ", 0, one.start), text.rfind("? ", 0, one.start), start - 2) + 2
    stop = min((i for i in (text.find(". ", one.end), text.find(".\n", one.end), end) if i >= 0), default=len(text))
    return text[dot:stop]


def _affected_ones(
    goods: Sequence[Goods], parts: Mapping[str, str], card: OrderCard | None, names: Mapping[str, str]
) -> list[Goods]:
    """Only the items that something is wrong with, when the mail says how many of any."""
    judged = []
    for one in goods:
        ordered = next((line[3] for line in card.lines if line[1] == one.sku), None) if card else None
        text = _around(one, parts, len(goods) == 1)
        short = _short_of(text, _counts(text, names.get(one.sku, "")), ordered)
        if "\t" in text and one.quantity is not None and len(text) < 200:
            short = one.quantity
        judged.append((replace(one, quantity=short) if short is not None else one, short is not None, text))
    if any(sure for _, sure, _ in judged):
        return [one for one, sure, text in judged if sure or not (FINE.search(text) or _whole(text))]
    return [one for one, _, text in judged if len(judged) == 1 or not FINE.search(text)] or [
        one for one, _, _ in judged
    ]


def _whole(text: str) -> bool:
    """24 of 24."""
    pair = _part_of_whole(text)
    return pair is not None and pair[0].value == pair[1].value


def _part_of_whole(text: str) -> tuple[quantities.Count, quantities.Count] | None:
    """Three of the 24; of the 24 valves, three. Also where 24 stands in the item's name."""
    for first, second in pairwise(quantities.counts(text)):
        between = text[first.end : second.start]
        if OF.fullmatch(between) and first.value <= second.value:
            return first, second
        if OF_ALL.search(text[: first.start]) and "." not in between and second.value < first.value:
            return second, first
    return None


def _counts(text: str, name: str) -> list[quantities.Count]:
    own = numbers_of(name)
    return [c for c in quantities.counts(text) if c.uom or str(c.value) not in own]


def _short_of(text: str, found: Sequence[quantities.Count], ordered: Decimal | None) -> Decimal | None:
    """How many are missing, damaged or too many."""
    said = SAID_SHORT.search(text)
    if said and (value := quantities._value(said["n"])) is not None and any(c.start == said.start("n") for c in found):
        return value
    pair = _part_of_whole(text)
    if pair is not None and pair[0].value < pair[1].value:
        return _of_pair(text, *pair)
    for count in found:
        if AFFECTED.search(_clause(text, count)) and _role(text, count) != "ordered" and count.value != ordered:
            return count.value
    return _difference(text, found, ordered)


def _of_pair(text: str, part: quantities.Count, whole: quantities.Count) -> Decimal:
    """Three of the five are cracked: 3. We got three of the five: 2."""
    after = re.split(r"[.!?\n](?:\s|$)", text[whole.end : whole.end + 70])[0]
    before = text[max(0, part.start - 40) : part.start]
    if AFFECTED.search(after) or (AFFECTED.search(before) and not RECEIVED.search(before)):
        return part.value
    return whole.value - part.value


def _clause(text: str, count: quantities.Count) -> str:
    """A few words before a number and some behind it, within the sentence."""
    before = re.split(r"[.!?\n](?:\s|$)", text[max(0, count.start - 18) : count.start])[-1]
    return before + " " + re.split(r"[.!?\n](?:\s|$)", text[count.end : count.end + 60])[0]


def _role(text: str, count: quantities.Count) -> str | None:
    """Is a number what was received, or what was ordered? The nearest word decides."""
    before, after = text[max(0, count.start - 34) : count.start], text[count.end : count.end + 16].strip(" ,")
    if RECEIVED.match(after):
        return "received"
    if ORDERED.match(after):
        return "ordered"
    received = max((m.end() for m in RECEIVED.finditer(before)), default=-1)
    ordered = max((m.end() for m in ORDERED.finditer(before)), default=-1)
    if max(received, ordered) < 0:
        return None
    return "received" if received > ordered else "ordered"


def _difference(text: str, found: Sequence[quantities.Count], ordered: Decimal | None) -> Decimal | None:
    roles = [(c, _role(text, c)) for c in found]
    wanted = next((c.value for c, role in roles if role == "ordered"), None)
    full = ordered if ordered is not None and any(c.value == ordered for c in found) else wanted or ordered
    if full is None:
        return None
    received = next((c.value for c, role in roles if role == "received" and c.value != full), None)
    if received is None and any(c.value == full for c in found):
        received = next((c.value for c, role in roles if c.value != full and c.value < full * 3), None)
    return abs(full - received) if received is not None and received < full * 4 else None


def _said_fine(one: Goods, parts: Mapping[str, str]) -> bool:
    text = _around(one, parts, False)
    return (
        one.part == "words"
        and bool(
            re.search(
                r"\b(?:rest|everything else|others?)\b[^.]{0,30}\b(?:right|fine|ok|correct|stays?|same)\b", text, re.I
            )
        )
        and quantities.change(text) is None
    )


def _changed(one: Goods, parts: Mapping[str, str], count: int, names: Mapping[str, str]) -> Goods:
    """The new quantity; 0 for a line to be dropped."""
    text = _around(one, parts, count == 1)
    own = _around(one, parts, False)
    pair = quantities.change(text)
    if pair is not None:
        return replace(one, quantity=pair[1])
    new = quantities.only_new(text if count == 1 else own)
    if new is not None and str(new) not in numbers_of(names.get(one.sku, "")):
        return replace(one, quantity=new)
    if one.part != "subject" and REMOVED.search(own) and not KEPT.search(own):
        return one if one.quantity is not None and OTHERS.search(own) else replace(one, quantity=Decimal(0))
    return _lone(one, parts, names) if one.quantity is None and count == 1 else one


def _dropped(one: Goods, parts: Mapping[str, str]) -> Goods:
    text = _around(one, parts, False)
    return (
        one
        if KEPT.search(text) and not REMOVED.search(text)
        else replace(one, quantity=Decimal(0))
        if REMOVED.search(text)
        else one
    )
