"""Every error of the core has a name, and its docstring is its message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Problem:
    """One broken rule: a stable code, one sentence for people, and the facts it rests on."""

    code: str
    text: str
    facts: dict[str, Any] = field(default_factory=dict)


class CountersignError(Exception):
    """Something that a caller can act upon went wrong."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or (self.__doc__ or "").strip())


class NotFound(CountersignError):
    """There is no such record."""


class IllegalTransition(CountersignError):
    """The record's status does not allow this step."""


class RuleViolation(CountersignError):
    """The command breaks one or more rules."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(p.text for p in self.problems))


class NotAuthorised(CountersignError):
    """No activated policy lets this person do this."""


class KeyReused(CountersignError):
    """This idempotency key was already used with another input."""


class Conflict(CountersignError):
    """The record changed in the meantime; read it again."""


class LimitReached(CountersignError):
    """A limit on size, rate or budget was reached."""


class WrongRole(CountersignError):
    """The process is not connected as the database role it must run as."""


class BadSetting(CountersignError):
    """A setting is missing or cannot be used."""
