"""Slots of a letter: what will be so after the commands beside it ran. `{promised_date:SO-1}`, or with a language `{promised_date:SO-1:es}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from erp_core.errors import Problem

SLOT = re.compile(r"\{([a-z_]+):([\w-]+)(?::(en|es|fr|de))?\}")
NAMES = {
    "promised_date": "the day that {order} is promised for then",
    "requested_date": "the day that {order} is wanted for then",
    "status": "how {order} stands then",
    "total": "what {order} comes to then",
}
NO_DAY = {
    "en": "a day that we will name",
    "es": "una fecha que le confirmaremos",
    "fr": "une date que nous vous confirmerons",
    "de": "ein Tag, den wir noch nennen",
}
STATUS = {
    "en": {"held": "being checked before it can leave", "open": "in our warehouse's queue", "gone": "on its way or delivered", "cancelled": "cancelled"},
    "es": {"held": "en revisión antes de salir", "open": "en preparación", "gone": "enviado o entregado", "cancelled": "cancelado"},
    "fr": {"held": "en vérification avant expédition", "open": "en préparation", "gone": "expédiée ou livrée", "cancelled": "annulée"},
    "de": {"held": "vor der Freigabe in Prüfung", "open": "bei unserem Lager in Arbeit", "gone": "unterwegs oder zugestellt", "cancelled": "storniert"},
}  # fmt: skip


@dataclass(frozen=True)
class OrderState:
    """What a slot may tell of an order. `state`: held, open, gone or cancelled."""

    customer: str
    promised: date | None
    requested: date | None
    state: str
    total: str


def orders_in(text: str) -> set[str]:
    """Orders that the slots of a letter ask about."""
    return {number for _, number, _ in SLOT.findall(text)}


def slots_in(text: str) -> dict[str, str]:
    """The slots of a letter, with what the core puts in their place."""
    return {
        hit.group(): NAMES[hit.group(1)].format(order=hit.group(2))
        for hit in SLOT.finditer(text)
        if hit.group(1) in NAMES
    }


def fill(text: str, orders: Mapping[str, OrderState], customer: str | None) -> tuple[str, list[Problem]]:
    """The letter with its slots filled in, and what stands against it: a slot that there is not, an order that is not the reader's."""
    problems: list[Problem] = []

    def filled(hit: re.Match[str]) -> str:
        name, number, language = hit.group(1), hit.group(2), hit.group(3) or "en"
        found = orders.get(number)
        if name not in NAMES or found is None or found.customer != customer:
            facts = {"slot": hit.group()}
            problems.append(Problem("slot_unknown", f"The letter asks for {hit.group()}, which cannot be told.", facts))
            return hit.group()
        if name == "total":
            return found.total
        if name == "status":
            return STATUS[language][found.state]
        day = found.promised if name == "promised_date" else found.requested
        return written(day, language) if day else NO_DAY[language]

    return SLOT.sub(filled, text), problems


def written(day: date, language: str) -> str:
    """A date as the reader writes it."""
    if language == "en":
        return f"{day:%B} {day.day}, {day.year}"
    between = "." if language == "de" else "/"
    return f"{day.day:02d}{between}{day.month:02d}{between}{day.year}"
