"""Dates that a mail asks for, counted from its Date header."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january jan enero ene janvier janv januar jän",
            "february feb febrero février févr fevrier februar",
            "march mar marzo mars märz maerz",
            "april apr abril abr avril avr",
            "may mayo mai",
            "june jun junio juin juni",
            "july jul julio juillet juil juli",
            "august aug agosto ago août aout",
            "september sep sept septiembre septembre",
            "october oct octubre octobre oktober okt",
            "november nov noviembre novembre",
            "december dec diciembre dic décembre déc decembre dezember dez",
        ),
        start=1,
    )
    for name in names.split()
}
WEEKDAYS = {
    name: number
    for number, names in enumerate(
        (
            "monday mon lunes lundi montag",
            "tuesday tue tues martes mardi dienstag",
            "wednesday wed weds miércoles miercoles mercredi mittwoch",
            "thursday thu thur thurs jueves jeudi donnerstag",
            "friday fri viernes vendredi freitag",
            "saturday sat sábado sabado samedi samstag",
            "sunday sun domingo dimanche sonntag",
        )
    )
    for name in names.split()
}
NUMBERS = {
    n: i
    for i, n in enumerate(
        ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"], 1
    )
}
_MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))
_DAY = "|".join(sorted(WEEKDAYS, key=len, reverse=True))
ISO = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b")
SLASHED = re.compile(r"(?<![\d/.-])(\d{1,2})([/.-])(\d{1,2})(?:\2(\d{4}|\d{2}))?(?![\d/]|\.\d|-\d)")
MONTH_DAY = re.compile(rf"\b({_MONTH})\.?\s+(?:the\s+)?(\d{{1,2}})(?:st|nd|rd|th)?\b(?:,?\s+(\d{{4}}))?", re.I)
DAY_MONTH = re.compile(
    rf"\b(\d{{1,2}})(?:st|nd|rd|th|er|\.)?\s*(?:of\s+|de\s+|d[’'])?({_MONTH})\b\.?(?:\s*(?:de|,)?\s*(\d{{4}}))?", re.I
)
ORDINAL = re.compile(
    rf"\b(?:the|el(?: día)?|le|am|den|zum|al)\s+(\d{{1,2}})(?:st|nd|rd|th|\.|\b)(?!\s*(?:{_MONTH}|%|in\b|mm|x\b|[a-z]{{2,}}s\b))|\b(\d{{1,2}})(?:st|nd|rd|th)\b",
    re.I,
)
WEEKDAY = re.compile(
    rf"\b(?:(next|this|coming|kommenden|nächsten|diesen|prochain|próximo|este)\s+)?({_DAY})(?:s?)\b(?:\s+(prochain|próximo|que viene))?",
    re.I,
)
RELATIVE = re.compile(
    r"\b(today|tomorrow|tmrw|tonight|hoy|mañana|pasado mañana|aujourd[’']hui|après-demain|demain|heute|übermorgen|morgen|end of (?:the |this )?week|eow|"
    r"fin de (?:la )?(?:semana|semaine)|ende der woche|day after tomorrow)\b",
    re.I,
)
WANTED = re.compile(
    r"(?:\bby|\bneed(?:ed|s)?|\bdeliver\w*|\bship\w*|\barriv\w*|\brequired?|\bwant\w*|\buntil|\bmove\w*|\bpush\w*|\bdue|\bfor|\bbefore|\bon|\bto|\bin hand|\bpick ?-?up|\bwill[- ]call"
    r"|\bmake|\bdate|\bpor|\bpara|\bantes|\bentreg\w*|\brequer\w*|\bnecesit\w*|\bel|\bpour|\bd[’']ici|\bavant|\blivr\w*|\bau|\ble|\bbis|\bzum|\bam|\bliefer\w*|\bbenötig\w*|\bspätestens)\W*(?:\w+\W+){0,3}$",
    re.I,
)
STRONG = re.compile(
    r"(?:\bneed\w*\s+(?:it|them|by|this|these|everything)?|\bneed[- ]by(?: date)?|\brequest\w* date|\bdeliver\w*(?:\s+\w+){0,4}|\bship(?:s|ping)?(?:\s+\w+){0,3}|\brequired(?: by| date)?|\bno later than|\bin hand by|\bhere by|\bon site|\bpush\w*(?:\s+\w+){0,5} to|\bmove\w*(?:\s+\w+){0,5} to"
    r"|\bnew date|\barriv\w*|\bentreg\w*(?:\s+\w+){0,3}|\bfecha requerida|\blivr\w+(?:\s+\w+){0,3}|\breporter(?:\s+\w+){0,6}|\bliefer\w*(?:\s+\w+){0,3}|\bliefertermin|\bbis spätestens|\bpick ?-?up|\bwill[- ]call|\bmake)\W*(?:\w+\W+){0,2}$",
    re.I,
)
NOT_WANTED = re.compile(
    r"(?:order(?:ed)? (?:on|of|dated|placed)|placed|dated|received|arrived|came(?: in)?|delivered|got(?: it| them)?|signed|invoiced?|since|was due|were due|promised|past|quot\w*(?: (?:is|are))? ?(?:due)?|bid\w*|clos\w*|counted"
    r"|last|sent|shipped|wrote|called|spoke|reply|respond|answer|decid\w*|confirm(?:ed)?|let (?:me|us) know|paid|pay(?:ment)?|posted|valid|expires?|effective|opened|was|were|from|old|not the|instead of|not|rather than"
    r"|bestellt|erhalten|geliefert|vom|livrée?s? le|reçu\w*|commandée?s? le|entregado|recibid\w+|llegó|pedido del|factura del|statt|au lieu du|en vez del?)\W*(?:\w+\W+){0,2}$",
    re.I,
)


@dataclass(frozen=True)
class Dated:
    """A date named in a text, its place, and how surely it is the date that goods are wanted."""

    day: date
    start: int
    end: int
    weight: int


def find(text: str, sent: date, *, day_first: bool) -> list[Dated]:
    """All dates of a text. `sent` is the local day of the Date header, `day_first` how 6/7 is read."""
    found: list[Dated] = []
    taken = [False] * (len(text) + 1)
    for day, start, end in _all(text, sent, day_first):
        if day is None or any(taken[start:end]):
            continue
        taken[start:end] = [True] * (end - start)
        found.append(Dated(day, start, end, _weight(text, start, day, sent)))
    return sorted(found, key=lambda d: d.start)


def wanted(text: str, sent: date, *, day_first: bool) -> Dated | None:
    """The date that goods are wanted: the best founded one that is not past; the last of equals."""
    good = [d for d in find(text, sent, day_first=day_first) if d.weight > 0]
    return max(good, key=lambda d: (d.weight, d.start), default=None)


def asks_whether(text: str) -> bool:
    """Does a status question name the day that goods must come? "Will it make Friday?" is one."""
    return bool(
        re.search(
            r"\b(?:make|still on (?:for|track)|on track|in time|here by|arrive by|get here|still (?:coming|shipping|due)|llegará|sera là|arrivera|rechtzeitig)\b",
            text,
            re.I,
        )
    )


def _weight(text: str, start: int, day: date, sent: date) -> int:
    if day < sent:
        return 0
    before = re.sub(rf"(?:\b(?:{_DAY})\b[,.]?\s*(?:the\s+)?)+$", "", text[max(0, start - 70) : start], flags=re.I)
    before = re.split(r"[.!?;\n](?=\s)|\n", before)[-1]
    if NOT_WANTED.search(before):
        return 0
    if STRONG.search(before):
        return 3
    return 2 if WANTED.search(before) else 1


def _all(text: str, sent: date, day_first: bool) -> Iterator[tuple[date | None, int, int]]:
    for m in ISO.finditer(text):
        yield _safe(int(m[1]), int(m[2]), int(m[3])), m.start(), m.end()
    for m in MONTH_DAY.finditer(text):
        yield _near(sent, MONTHS[m[1].lower()], int(m[2]), m[3]), m.start(), m.end()
    for m in DAY_MONTH.finditer(text):
        yield _near(sent, MONTHS[m[2].lower()], int(m[1]), m[3]), m.start(), m.end()
    for m in SLASHED.finditer(text):
        yield _slashed(m, sent, day_first), m.start(), m.end()
    for m in ORDINAL.finditer(text):
        yield _of_month(sent, int(m[1] or m[2])), m.start(), m.end()
    for m in RELATIVE.finditer(text):
        yield _relative(m[1].lower(), sent), m.start(), m.end()
    for m in WEEKDAY.finditer(text):
        yield _weekday(m, sent, text), m.start(), m.end()


def _slashed(m: re.Match[str], sent: date, day_first: bool) -> date | None:
    first, second = int(m[1]), int(m[3])
    if m[2] == "-" and not m[4]:
        return None
    if m[2] == ".":
        if not (m[4] or text_after_is_end(m)) or second == 0:
            return None
        day_first = True
    day, month = (first, second) if (day_first and second <= 12) or first > 12 else (second, first)
    return _near(sent, month, day, m[4])


def text_after_is_end(m: re.Match[str]) -> bool:
    """ "19.06." has a dot behind it; "2.5" of something has not."""
    return m.string[m.end() : m.end() + 1] == "."


def _near(sent: date, month: int, day: int, year: str | None) -> date | None:
    if year:
        return _safe(int(year) + (2000 if len(year) == 2 else 0), month, day)
    same = _safe(sent.year, month, day)
    if same is not None and (sent - same).days > 200:
        return _safe(sent.year + 1, month, day)
    return same


def _of_month(sent: date, day: int) -> date | None:
    same = _safe(sent.year, sent.month, day)
    if same is not None and same >= sent - timedelta(days=12):
        return same
    following = (sent.replace(day=1) + timedelta(days=32)).replace(day=1)
    return _safe(following.year, following.month, day)


def _relative(word: str, sent: date) -> date:
    if word in ("today", "tonight", "hoy", "heute") or word.startswith("aujourd"):
        return sent
    if word in ("tomorrow", "tmrw", "mañana", "demain", "morgen"):
        return sent + timedelta(days=1)
    if word in ("pasado mañana", "après-demain", "übermorgen", "day after tomorrow"):
        return sent + timedelta(days=2)
    return sent + timedelta(days=(4 - sent.weekday()) % 7)


def _weekday(m: re.Match[str], sent: date, text: str) -> date | None:
    before = text[max(0, m.start() - 12) : m.start()].lower()
    if re.search(r"(?:last|letzten|past|since|seit|pasado|dernier)\s+$", before):
        return None
    if len(m[2]) <= 3 and not m[2][0].isupper():
        return None
    ahead = (WEEKDAYS[m[2].lower()] - sent.weekday()) % 7 or 7
    if (m[1] or "").lower() in ("next", "nächsten") and ahead < 7 and sent.weekday() < WEEKDAYS[m[2].lower()]:
        ahead += 7
    return sent + timedelta(days=ahead)


def _safe(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
