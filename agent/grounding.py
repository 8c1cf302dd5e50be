"""Checks before anything is filed or told, in pure code: numbers, dates and documents stand in the evidence, promises are carried out, the language is right.

A sentence that does not hold is dropped, and a letter that does not hold is not sent: the house's own wording stands in its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from erp_core.queries.references import key
from erp_core.rules.letters import SLOT

MONTHS = {
    name: number
    for names in (
        "january february march april may june july august september october november december",
        "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
        "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
        "januar februar märz april mai juni juli august september oktober november dezember",
        "jan feb mar apr may jun jul aug sep oct nov dec",
    )
    for number, name in enumerate(names.split(), 1)
}
_NAMES = "|".join(sorted(MONTHS, key=len, reverse=True))
ISO = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b")
NUMERIC = re.compile(r"\b(\d{1,2})[./](\d{1,2})[./](\d{4})\b")
DAY_MONTH = re.compile(
    rf"\b(\d{{1,2}})(?:st|nd|rd|th|er|\.)?\s+(?:de\s+)?({_NAMES})\b\.?(?:,?\s+(?:de\s+)?(\d{{4}}))?", re.I
)
MONTH_DAY = re.compile(rf"\b({_NAMES})\b\.?\s+(\d{{1,2}})(?:st|nd|rd|th)?(?:,?\s+(\d{{4}}))?", re.I)
DOCUMENT = re.compile(r"(?<![\w-])(?=[\w/-]*\d)(?=[\w/-]*[A-Za-z])[A-Za-z0-9]+(?:[-/][A-Za-z0-9]+)*(?![\w-])")
NUMBER = re.compile(r"(?<![\w.,-])[-+]?\d+(?:[.,\u202f\u00a0 ]\d{3})*(?:[.,]\d+)?(?![\w-])")
ORDINARY = frozenset(
    ["0", "1", "2", "24", "100"]
)  # one order, two lines, within 24 hours, 100 percent: words of any letter

# what a letter may only say when a command beside it does it, by stem in four languages
PROMISES: list[tuple[re.Pattern[str], tuple[str, ...]]] = [
    (re.compile(r"\b(?:(?:have|has|was|were|is|are|been) (?:now )?(?:changed|updated|amended|adjusted|increased|reduced|added)|we changed|hemos (?:cambiado|modificado|actualizado)|avons (?:modifié|changé|ajouté)|haben .{0,40}(?:geändert|angepasst|ergänzt))\b", re.I), ("amend_order", "update_contact", "update_ship_to", "update_expected_date", "amend_purchase")),
    (re.compile(r"\b(?:(?:have|has|was|were|is|are|been) (?:now )?(?:cancell?ed)|we cancell?ed|hemos cancelado|avons annulé|haben .{0,40}storniert|(?:ist|wurde) storniert)\b", re.I), ("cancel_order", "amend_order")),
    (re.compile(r"\b(?:(?:have|has|was|were|is|are|been|will be|be) (?:now )?(?:credited|refunded|reimbursed)|(?:will|we'll) (?:credit|refund|reimburse)|(?:le )?(?:abonaremos|reembolsaremos)|(?:vous )?(?:créditerons|rembourserons)|(?:schreiben .{0,30}gut|erstatten))\b", re.I), ("issue_credit_memo", "credit_return")),
    (re.compile(r"\b(?:(?:have|has|was|were|is|are|been) (?:now )?(?:expedited|rushed|prioriti[sz]ed)|we (?:expedited|are expediting|prioriti[sz]ed)|(?:hemos|estamos) (?:acelerado|acelerando|priorizado)|avons (?:accéléré|priorisé)|haben .{0,40}(?:beschleunigt|vorgezogen))\b", re.I), ("expedite_order",)),
    (re.compile(r"\b(?:(?:have|has|was|were|is|are|been) (?:now )?(?:released|approved)|we (?:released|approved)|hemos (?:liberado|aprobado)|avons (?:libéré|approuvé)|haben .{0,40}(?:freigegeben|genehmigt))\b", re.I), ("release_hold", "authorise_return")),
    (re.compile(r"\b(?:(?:have|has|was|were|is|are|been) (?:now )?(?:placed|entered)|we (?:placed|entered)|hemos (?:registrado|ingresado)|avons (?:saisi|passé)|haben .{0,40}(?:erfasst|angelegt))\b", re.I), ("place_order",)),
    (re.compile(r"\b(?:replacement|reemplazo|remplacement|ersatzlieferung)\b.{0,40}\b(?:ship|sent|send|on its way|enviad|envoy|expédi|versand|unterwegs)", re.I), ("place_order",)),
    (re.compile(r"\b(?:guarantee|garantiz|garantissons|garantieren)", re.I), ()),
]  # fmt: skip


def dates(text: str, today: date) -> tuple[set[date], str]:
    """Days that a text names, and the text without them. A day without a year is the one nearest to today."""
    found: set[date] = set()

    def iso(hit: re.Match[str]) -> str:
        return _taken(found, hit, int(hit[1]), int(hit[2]), int(hit[3]))

    def numeric(hit: re.Match[str]) -> str:
        one, other, year = int(hit[1]), int(hit[2]), int(hit[3])
        _taken(found, hit, year, other, one)
        return _taken(found, hit, year, one, other) or " "

    def named(hit: re.Match[str]) -> str:
        month, day = (hit[1], hit[2]) if hit[1].isalpha() else (hit[2], hit[1])
        year = int(hit[3]) if hit[3] else today.year
        return _taken(found, hit, year, MONTHS[month.lower()], int(day))

    for pattern, take in ((ISO, iso), (NUMERIC, numeric), (DAY_MONTH, named), (MONTH_DAY, named)):
        text = pattern.sub(take, text)
    return found, text


def _taken(found: set[date], hit: re.Match[str], year: int, month: int, day: int) -> str:
    try:
        found.add(date(year, month, day))
    except ValueError:
        return hit.group()
    return " "


def amount(text: str) -> str:
    """A number as it counts: 1,250.00 and 1250 and 1.250,00 are one."""
    flat = re.sub(r"[\u202f\u00a0 +]", "", text)
    if re.search(r"[.,]\d{1,2}$", flat) or ("," in flat and "." in flat):
        head, _, tail = flat.rpartition("," if flat.rfind(",") > flat.rfind(".") else ".")
        flat = f"{re.sub(r'[.,]', '', head)}.{tail}"
    else:
        flat = re.sub(r"[,.](?=\d{3}(?:\D|$))", "", flat)
    flat = flat.replace(",", ".")
    return flat.rstrip("0").rstrip(".") if "." in flat else flat


def names_of(text: str, today: date) -> tuple[set[date], set[str], set[str]]:
    """Days, documents and numbers in a text."""
    days, rest = dates(SLOT.sub(" ", text), today)
    documents = {key(d) for d in DOCUMENT.findall(rest)}
    numbers = {amount(n) for n in NUMBER.findall(DOCUMENT.sub(" ", rest))}
    return days, documents, numbers


def unsupported(text: str, facts: Iterable[str], today: date) -> list[str]:
    """What a text names and no fact holds: days, documents, numbers. Empty when all of it stands in the facts."""
    days, documents, numbers = names_of(text, today)
    known_days, known_documents, known_numbers = set(), set(), set(ORDINARY)
    for fact in facts:
        found = names_of(fact, today)
        known_days |= found[0]
        known_documents |= found[1]
        known_numbers |= found[2]
    either_way = known_days | {d.replace(month=d.day, day=d.month) for d in known_days if d.day <= 12}
    return (
        [d.isoformat() for d in sorted(days - either_way) if not _read_other_way(d, days, known_days)]
        + sorted(d for d in documents if d not in known_documents)
        + sorted(n for n in numbers - known_numbers if n not in known_documents)
    )


def _read_other_way(day: date, days: set[date], known: set[date]) -> bool:
    """6/7 was read both ways; one of them is known."""
    return day.day <= 12 and day.replace(month=day.day, day=day.month) in days & known


def false_promises(text: str, commands: Sequence[Mapping[str, object]]) -> list[str]:
    """Words that say something is done which no command of the same proposal does."""
    does = {str(c.get("type")) for c in commands}
    return [hit.group() for pattern, needed in PROMISES if (hit := pattern.search(text)) and not does & set(needed)]
