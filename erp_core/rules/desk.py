"""Who may sign what. One decision point: Cedar over the activated policy; what nothing permits is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, lru_cache

import cedarpy

from erp_core.policy import Policy


@dataclass(frozen=True)
class Person:
    """Who signs: roles, and the limit in the currency of the document."""

    email: str
    roles: tuple[str, ...]
    approval_limit: Decimal


@dataclass(frozen=True)
class Subject:
    """What a command moves: its amount, and what policy asks about its object.

    Of what is bought: the supplier's `risk` (of a transfer: intercompany), the firm it is for, the days that stock would last, and
    the value of customer orders `waiting` for it.
    """

    action: str
    amount: Decimal = Decimal(0)
    reason: str = ""
    queue: str = ""
    risk: str = ""
    entity: str = ""
    lasts_days: int = 0
    waiting: Decimal = Decimal(0)


@dataclass(frozen=True)
class Ruling:
    """Allowed or not, and the ids of the rules that said so (empty: nothing permits it)."""

    allowed: bool
    rules: tuple[str, ...]


def authority(policy: Policy, person: Person, subject: Subject) -> Ruling:
    """May this person sign this command? Default deny."""
    return _ruling(policy.authority, person, subject)


@lru_cache(maxsize=20_000)
def _ruling(cedar: str, person: Person, subject: Subject) -> Ruling:
    """Cedar's answer depends on these three alone, so it may be remembered."""
    principal = {
        "uid": {"type": "User", "id": person.email},
        "attrs": {"roles": list(person.roles), "limit": _cents(person.approval_limit)},
        "parents": [],
    }
    attributes = {
        "amount": _cents(subject.amount),
        "reason": subject.reason,
        "queue": subject.queue,
        "risk": subject.risk,
        "entity": subject.entity,
        "lasts_days": subject.lasts_days,
        "waiting": _cents(subject.waiting),
    }
    resource = {"uid": {"type": "Command", "id": subject.action}, "attrs": attributes, "parents": []}
    request = {
        "principal": f"User::{json.dumps(person.email)}",
        "action": f"Action::{json.dumps(subject.action)}",
        "resource": f"Command::{json.dumps(subject.action)}",
        "context": {},
    }
    answer = cedarpy.is_authorized(request, _parsed(cedar), [principal, resource])
    names = rule_names(cedar)
    allowed = bool(answer.allowed) and not answer.diagnostics.errors
    return Ruling(allowed, tuple(sorted(names[r][0] for r in answer.diagnostics.reasons)))


@cache
def _parsed(cedar: str) -> cedarpy.PolicySet:
    return cedarpy.PolicySet.from_str(cedar)


@cache
def rule_names(cedar: str) -> dict[str, tuple[str, str]]:
    """Cedar's policy numbers to our rule ids and their sentences."""
    policies = json.loads(cedarpy.policies_to_json_str(cedar))["staticPolicies"]
    return {key: (p["annotations"]["id"], p["annotations"]["text"]) for key, p in policies.items()}


def rule_text(policy: Policy, rule: str) -> str:
    """The sentence of a rule id; empty when there is none."""
    return next((text for name, text in rule_names(policy.authority).values() if name == rule), "")


def needs_second(policy: Policy, subject: Subject) -> bool:
    """Does policy want two different people for this command?"""
    over = policy.four_eyes.get(subject.action)
    return over is not None and subject.amount > over


@dataclass(frozen=True)
class Signature:
    """One person's yes, and which commands (by position) the person may sign."""

    email: str
    covers: frozenset[int]


@dataclass(frozen=True)
class Standing:
    """What a proposal still needs: commands nobody with authority signed, and those wanting a second person."""

    unsigned: tuple[int, ...]
    want_second: tuple[int, ...]

    @property
    def complete(self) -> bool:
        return not self.unsigned and not self.want_second


def standing(
    policy: Policy, subjects: Sequence[Subject], signatures: Sequence[Signature], asked_by: str | None
) -> Standing:
    """Which commands are signed. Under four eyes two people sign, at least one of whom did not ask for it."""
    unsigned: list[int] = []
    want_second: list[int] = []
    for position, subject in enumerate(subjects):
        signers = {s.email for s in signatures if position in s.covers}
        if not signers:
            unsigned.append(position)
        elif needs_second(policy, subject) and (len(signers) < 2 or not signers - {asked_by}):
            want_second.append(position)
    return Standing(tuple(unsigned), tuple(want_second))


def _cents(amount: Decimal) -> int:
    return int((amount * 100).to_integral_value())
