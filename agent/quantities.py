"""Items in a mail with the quantities that belong to them: digits, words and units, cases or each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from agent import dates
from agent.references import PHONE

WORDS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "eleven": 11, "twelve": 12, "fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60,
    "eighty": 80, "hundred": 100, "a hundred": 100, "one hundred": 100, "two hundred": 200, "five hundred": 500, "thousand": 1000,
    "a dozen": 12, "one dozen": 12, "two dozen": 24, "three dozen": 36, "half a dozen": 6, "dozen": 12, "twenty-four": 24, "twenty-five": 25,
    "thirty-six": 36, "forty-eight": 48, "ninety": 90, "seventy": 70, "sixteen": 16, "eighteen": 18, "fourteen": 14, "thirteen": 13,
    "a pair": 2, "a couple": 2, "single": 1,
    "una": 1, "un": 1, "uno": 1, "dos": 2, "tres": 3, "cuatro": 4, "cinco": 5, "seis": 6, "siete": 7, "ocho": 8, "nueve": 9, "diez": 10,
    "once": 11, "doce": 12, "una docena": 12, "veinte": 20, "treinta": 30, "cuarenta": 40, "cincuenta": 50, "cien": 100, "quince": 15,
    "une": 1, "deux": 2, "trois": 3, "quatre": 4, "cinq": 5, "sept": 7, "huit": 8, "neuf": 9, "dix": 10, "douze": 12,
    "une douzaine": 12, "vingt": 20, "trente": 30, "quarante": 40, "cinquante": 50, "cent": 100, "onze": 11, "quinze": 15,
    "ein": 1, "eine": 1, "einen": 1, "zwei": 2, "drei": 3, "vier": 4, "fünf": 5, "sechs": 6, "sieben": 7, "acht": 8, "neun": 9, "zehn": 10,
    "elf": 11, "zwölf": 12, "zwanzig": 20, "dreißig": 30, "vierzig": 40, "fünfzig": 50, "hundert": 100, "ein dutzend": 12, "fünfzehn": 15,
}  # fmt: skip
_ONES = dict(zip(["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"], range(1, 10), strict=True))
_TENS = dict(
    zip(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], range(20, 100, 10), strict=True)
)
WORDS |= {f"{t}{sep}{o}": tv + ov for t, tv in _TENS.items() for o, ov in _ONES.items() for sep in ("-", " ")}
WORDS |= {
    f"{o} {big}": v * n for o, v in _ONES.items() for big, n in (("hundred", 100), ("thousand", 1000), ("dozen", 12))
}
UNITS = {
    "EA": r"ea\.?|each|pcs?\.?|pieces?|units?|nos?|pzas?\.?|piezas?|unidades|unités?|pièces?|pce?s?|mcx|stück|stk\.?|st\.?",
    "BX": r"bx\.?|bxs|box|boxes|cajas?|boîtes?|schachteln?|packungen|pkg",
    "CS": r"cs\.?|cases?|ctns?\.?|cartons?|caisses?|karton(?:s)?|kisten?|bultos?",
    "RL": r"rolls?|rl|rollos?|rouleaux?|rollen?",
    "PR": r"pairs?|pr|pares|paires?|paar",
}
_UNIT = "|".join(f"(?P<u{name}>{words})" for name, words in UNITS.items())
_WORD = "|".join(sorted(WORDS, key=len, reverse=True))
# sizes, models, temperatures and the like follow the number without being a count
_SIZE = (
    r"(?:\s?(?:in\b(?!,)|inch\w*|\"|”|″|mm\b|cm\b|ft\b|awg\b|gal\b|mil\b|lbs?\b|oz\b|hp\b|kg\b|ct\b|volts?\b|v\b|kw\b|amps?\b|w\b|a\b|psi\b|%|"
    r"pol(?:e|os)\b|-?pole\b|days?\b|weeks?\b|hours?\b|hrs?\b|minutes?\b|months?\b|years?\b|percent|pallets?\b|skids?\b|tarimas?|días?|jours?|tage?\b|"
    r"orders?\b|lines?\b(?! items)|a\.?m\b|p\.?m\b|o'clock|mins?\b|miles?\b|crew|guys|people|men\b|trucks?\b|calls?\b|emails?\b|times?\b|doors?\b|floors?\b|shifts?\b))"
)
NUMBER = re.compile(
    rf"(?<![\w$€£#./-])(?P<digits>\d{{1,3}}(?:[,.]\d{{3}})+|\d{{1,6}}(?:[.,]\d)?)(?![\d/]|[.,:]\d|-\d)(?!{_SIZE})\s{{0,4}}\(?(?:{_UNIT})?\b"
    rf"|\b(?P<word>{_WORD})\b(?!{_SIZE})(?:\s*\(\d+\))?(?:\s(?:{_UNIT.replace('?P<u', '?P<w')})\b)?",
    re.I,
)
PRICE_BEFORE = re.compile(r"(?:@|\bat|\bprice[sd]?|\bfor|\bto|\bà|\ba|\bzu|\bje|\bcents?|\busd)\s*[$€£]?\s*$", re.I)
PRICE_AFTER = re.compile(r"^\s*(?:/|per\b|cents?\b|dollars?\b|usd\b|[$€£]|each\b\s*(?:instead|on)|€)", re.I)
BREAK_AFTER = re.compile(
    r"^\s*(?:\+|and (?:above|up|over|more)|or (?:more|over|above)|minimum|y más|et plus|und mehr)", re.I
)
OF_BEFORE = re.compile(
    r"(?:\d|[a-z]{2,})\s+(?:of|de|von|sur|out of)\s+(?:the |our |my |those |las |los |les |den |der )?$", re.I
)
LINE_WORD = re.compile(
    r"(?:\bline|\bitem|\bpos(?:ition)?\.?|\blinea|\blínea|\bpartida|\bligne|\bzeile|\bmodel|\bpage|\bsuite|\bbldg|\bbuilding|\bdock|\bgate|\broom|\bunit|\blot|\bno\.?|\bphase|\bfloor|\bjob|\brev\.?|\bclass|\btype|\bgrade|\bsch(?:edule)?|\bsize)\s*#?\s*$",
    re.I,
)
LEADING = re.compile(r"^\s*(?:\(?\d{1,3}[.)]\s|\d{1,3}\s*[-–:]\s(?=\D)|[-*•]\s)")


@dataclass(frozen=True)
class Count:
    """A number that counts goods; `uom` None when no unit was written."""

    value: Decimal
    uom: str | None
    start: int
    end: int


@dataclass(frozen=True)
class Named:
    """An item named in a text, with its quantity."""

    sku: str
    quantity: Decimal | None
    uom: str | None
    start: int
    end: int


def counts(text: str) -> list[Count]:
    """Numbers that can be quantities, in order: no prices, sizes, line numbers, dates."""
    found = []
    dated = [m.span() for wanted in (PHONE, dates.MONTH_DAY, dates.DAY_MONTH, dates.ISO) for m in wanted.finditer(text)]
    for m in NUMBER.finditer(text):
        if any(start <= m.start() < end for start, end in dated):
            continue
        before, after = text[max(0, m.start() - 18) : m.start()], text[m.end() : m.end() + 20]
        if LINE_WORD.search(before) or PRICE_AFTER.match(after) or BREAK_AFTER.match(after):
            continue
        uom = next((name for name in UNITS if m.group(f"u{name}") or m.group(f"w{name}")), None)
        if m.group("digits"):
            value = _number(m.group("digits"))
            if uom is None and (PRICE_BEFORE.search(before) and re.search(r"@|\$|at\s*$|cents?|price", before, re.I)):
                continue
            if value is None:
                continue
            found.append(Count(value, uom, m.start(), m.end()))
        else:
            word = m.group("word").lower()
            weak = word in (
                "one",
                "un",
                "una",
                "uno",
                "a pair",
                "ein",
                "eine",
                "einen",
                "une",
                "a couple",
                "single",
                "once",
                "dix",
                "elf",
                "cent",
                "sept",
            )
            if (
                uom is None
                and weak
                and not re.match(r"\s+(?:(?:of|x|more|short|missing|extra|damaged)\b|[A-Z]{2,4}-?\d{3})", after)
            ):
                continue
            found.append(Count(Decimal(WORDS[word]), uom, m.start(), m.end()))
    return found


def _number(text: str) -> Decimal | None:
    """1,000 and 2.000 are thousands; 2,5 and 2.5 are not."""
    if re.fullmatch(r"\d{1,3}(?:[.,]\d{3})+", text):
        return Decimal(re.sub(r"[.,]", "", text))
    value = Decimal(text.replace(",", "."))
    return value if 0 <= value < 1_000_000 else None


_NUM = rf"\d[\d.,]*|\b(?:{_WORD})\b"
_GAP = r"\s*(?:\(\d+\)\s*)?(?:(?!instead|not|rather)[a-z]{1,7}\.?\s+)?(?:(?!instead|not|rather)[a-z]{1,9}\s+)?"
CHANGE_TO = re.compile(
    rf"(?:from|de|von|was|is|currently)\s+(?P<old>{_NUM}){_GAP}(?:up |down )?(?:to|a|à|auf|→|->|=>)\s+(?P<new>{_NUM})"
    rf"|(?P<new2>{_NUM}){_GAP},?\s*(?:instead of|rather than|not|and not|en vez de|en lugar de|au lieu de|pas|y no|statt|anstelle von|nicht)\s+(?:the\s+)?(?P<old2>{_NUM})"
    rf"|(?P<old3>{_NUM}){_GAP}(?:should be|should read|should have been|debe(?:n)? ser|devrait être|sollen?|→|->|=>)\s+(?P<new3>{_NUM})",
    re.I,
)
ONLY_NEW = re.compile(
    rf"(?:(?:make|change|bring|set|raise|increase|reduce|cut|bump|lower|drop|up|down|take|revise|update|adjust|correct|quantity|qty)\b[^.\n]{{0,45}}?\b(?:to|it|that|them|at|down to|up to)|should be|should read|a total of|passer à|aumentar a|auf)\s+(?P<new>{_NUM})(?!\s*(?:/|:|%|day|week|st\b|nd\b|rd\b|th\b))",
    re.I,
)


def change(text: str) -> tuple[Decimal, Decimal] | None:
    """(old, new) of the first phrase such as "from 40 to 60", "60 instead of 40", "40 should be 60"."""
    for m in CHANGE_TO.finditer(text):
        old = _value(m["old"] or m["old2"] or m["old3"])
        new = _value(m["new"] or m["new2"] or m["new3"])
        if old is not None and new is not None:
            return old, new
    return None


def only_new(text: str) -> Decimal | None:
    """The number of the last phrase such as "make it 50", "bring the hats down to 60"."""
    found = [
        v for m in ONLY_NEW.finditer(text) if not in_date(text, m.start("new")) and (v := _value(m["new"])) is not None
    ]
    return found[-1] if found else None


def in_date(text: str, position: int) -> bool:
    """Does a date cover this place?"""
    found = (
        m.span()
        for wanted in (dates.MONTH_DAY, dates.DAY_MONTH, dates.ISO, dates.SLASHED)
        for m in wanted.finditer(text)
    )
    return any(start <= position < end for start, end in found)


def _value(text: str) -> Decimal | None:
    if text.lower() in WORDS:
        return Decimal(WORDS[text.lower()])
    bare = text.strip(".,")
    return (
        _number(bare)
        if re.fullmatch(r"\d[\d.,]*", bare) and re.fullmatch(r"\d{1,3}(?:[.,]\d{3})+|\d{1,6}(?:[.,]\d)?", bare)
        else None
    )


def items(text: str, skus: Sequence[tuple[str, int, int]], sizes: Mapping[str, frozenset[str]]) -> list[Named]:
    """Items by number with their quantities. `skus` are (sku, start, end) in order; `sizes` numbers of each item's own name."""
    named = []
    header = _header(text)
    for position, (sku, start, end) in enumerate(skus):
        left = skus[position - 1][2] if position else 0
        right = skus[position + 1][1] if position + 1 < len(skus) else len(text)
        line_start, line_end = text.rfind("\n", 0, start) + 1, _line_end(text, end)
        row = text[line_start:line_end]
        if header and "\t" in row:
            kept, cell = _from_row(row, header)
            if not kept:
                continue
            if cell is not None:
                named.append(Named(sku, cell.value, cell.uom, start, end))
                continue
        same_line = [s for s in skus if line_start <= s[1] < line_end]
        if len(same_line) == 1:
            left, right = line_start, line_end
        segment_start, segment_end = max(left, line_start), min(right, line_end)
        own = sizes.get(sku, frozenset())
        count = _best(text, segment_start, segment_end, start, end, own)
        if count is None and len(same_line) == 1 and len(row.strip()) < 60:
            count = _neighbour(text, line_start, line_end, left if position == 0 else skus[position - 1][2], own)
        named.append(Named(sku, count.value if count else None, count.uom if count else None, start, end))
    return named


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end


COLUMNS = {
    "received": r"rec(?:eive)?d?'?d?\b|counted|actual|recibid\w*|reçue?s?|erhalten",
    "new": r"now\b|new\b|revised|change to|corrected|should be|nuev\w+|nouve\w+|neu\b",
    "old": r"was\b|old\b|current|original|from\b|ant(?:es|erior)|anci\w+|alt\b|bisher",
    "ordered": r"order(?:ed)?(?: qty| quantity)?$|pedid\w*|commandée?s?|bestellt",
    "quantity": r"(?:order(?:ed)? )?(?:qty|quantity|cant\.?|cantidad|qté|quantité|menge|anzahl)\b|pcs$|pieces$|units$",
}


def _header(text: str) -> dict[str, int]:
    """Columns of a table of goods, by what they hold."""
    for line in text.split("\n"):
        cells = [c.strip().lower() for c in line.split("\t")]
        if len(cells) < 2:
            continue
        found = {}
        for position, cell in enumerate(cells):
            name = next((n for n, words in COLUMNS.items() if re.match(words, cell) and n not in found), None)
            if name and not re.search(r"\d{2}", cell):
                found[name] = position
        if found.keys() & {"quantity", "new", "received", "ordered"}:
            return found
    return {}


def _from_row(row: str, header: Mapping[str, int]) -> tuple[bool, Count | None]:
    """Whether a row matters, and its quantity: new over old, ordered less received, or the plain quantity."""
    values = {name: _cell(row, column) for name, column in header.items()}
    old, new = values.get("old"), values.get("new")
    if old and new:
        return old.value != new.value, new
    received, ordered = values.get("received"), values.get("ordered") or values.get("quantity")
    if received and ordered and "received" in header:
        return received.value != ordered.value, replace(ordered, value=abs(ordered.value - received.value))
    return True, new or values.get("quantity") or ordered or received


def _cell(row: str, column: int) -> Count | None:
    cells = row.split("\t")
    if column >= len(cells):
        return None
    text = cells[column].strip()
    if re.fullmatch(r"0+", text):
        return Count(Decimal(0), None, 0, 1)
    found = counts(text)
    if not found:
        return None
    uom = found[0].uom
    for other in cells if uom is None else ():
        uom = uom or next((name for name, words in UNITS.items() if re.fullmatch(words, other.strip(), re.I)), None)
    return replace(found[0], uom=uom)


def _neighbour(text: str, line_start: int, line_end: int, floor: int, sizes: frozenset[str]) -> Count | None:
    """A number alone on the line after or before an item's line."""
    after = text[line_end + 1 : _line_end(text, line_end + 1)]
    before_start = text.rfind("\n", 0, max(0, line_start - 1)) + 1
    before = text[max(before_start, floor) : line_start]
    for line in (after, before):
        found = [c for c in counts(line) if str(c.value) not in sizes]
        if len(found) == 1 and len(line.strip()) < 16:
            return found[0]
    return None


def _best(text: str, left: int, right: int, sku_start: int, sku_end: int, sizes: frozenset[str]) -> Count | None:
    segment = text[left:right]
    lead = LEADING.match(segment)
    offset = lead.end() if lead else 0
    scored = []
    found = counts(segment)
    plain = [c for c in found if c.uom or str(c.value) not in sizes]
    for count in plain or found[-1:]:
        place = left + count.start
        if count.start < offset:
            continue
        if left + count.end > sku_start and place < sku_end:
            continue
        score = 3 if count.uom else 0
        before, after = text[max(left, place - 24) : place], text[left + count.end : left + count.end + 8]
        if OF_BEFORE.search(before) and any(c.end <= count.start for c in counts(segment[: count.start])):
            continue
        if re.search(r"(?:qty|quantity|cant\w*|qté|menge|x)[\s:.=]*$", before, re.I) or re.match(
            r"\s*[x×]\s", after, re.I
        ):
            score += 3
        distance = sku_start - (left + count.end) if place < sku_start else place - sku_end
        scored.append((score - min(abs(distance), 60) / 20, count))
    return max(scored, key=lambda s: s[0], default=(0, None))[1]
