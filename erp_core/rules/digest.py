"""A queue in some sentences: how much, how late, how much money, what kinds, who is concerned, what is first. Every sentence names its cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from erp_core.values import kind_words

MOST_NAMED = 12  # cases a sentence names
MANY = 3  # of one customer or supplier are a theme


@dataclass(frozen=True)
class Sentence:
    """One statement, and the cases it is about (at most so many are named)."""

    text: str
    cases: tuple[int, ...]


@dataclass(frozen=True)
class Group:
    """Open cases that have something in common; `cases` the first of them, in order of the queue."""

    name: str
    count: int
    late: int
    at_stake: Decimal
    cases: tuple[int, ...]


@dataclass(frozen=True)
class First:
    """A case at the head of the queue."""

    case: int
    title: str
    priority: str
    due: datetime | None


@dataclass(frozen=True)
class Figures:
    """What is counted of a queue as of `now`; money in the customers' own currencies, added up as it stands."""

    now: datetime
    whole: Group
    due_soon: Group
    oldest: datetime | None
    kinds: Sequence[Group]
    parties: Sequence[Group]
    first: Sequence[First]


def sentences(figures: Figures) -> list[Sentence]:
    """The queue in words, the most important first."""
    whole = figures.whole
    if not whole.count:
        return [Sentence("Nothing is open here.", ())]
    told = [Sentence(_whole(figures), whole.cases)]
    if figures.due_soon.count:
        soon = figures.due_soon
        told.append(Sentence(f"{_cases(soon.count)} due within four hours{_worth(soon)}.", soon.cases))
    if figures.first:
        named = ", ".join(f"#{f.case} {f.title} ({f.priority})" for f in figures.first)
        told.append(Sentence(f"First: {named}.", tuple(f.case for f in figures.first)))
    for group in figures.kinds[:3]:
        late = f", {group.late} late" if group.late else ""
        told.append(Sentence(f"{group.count} × {kind_words(group.name)}{late}{_worth(group)}.", group.cases))
    for group in (g for g in figures.parties[:3] if g.count >= MANY):
        told.append(
            Sentence(f"{group.count} cases concern {group.name}{_worth(group)}; look at them together.", group.cases)
        )
    return told


def _whole(figures: Figures) -> str:
    whole = figures.whole
    late = f"{whole.late} of them late" if whole.late else "none late"
    since = f"; the oldest waits {_age(figures.oldest, figures.now)}" if figures.oldest else ""
    return f"{whole.count} open, {late}{_worth(whole)}{since}."


def _cases(count: int) -> str:
    return f"{count} is" if count == 1 else f"{count} are"


def _worth(group: Group) -> str:
    return f", {group.at_stake:,.2f} at stake" if group.at_stake else ""


def _age(since: datetime, now: datetime) -> str:
    hours = int((now - since).total_seconds() // 3600)
    return f"{hours // 24} days" if hours >= 48 else f"{hours} hours"
