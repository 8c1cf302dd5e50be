"""Duties that are kept apart, as the pair table of the policy says: what roles a person may not hold together.

The same pairs hold on one document, by whose hands were on it: actions.segregation.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cache

from erp_core.policy import Pair, Policy
from erp_core.rules import desk
from erp_core.rules.desk import Capacity, Person, Subject

NO_LIMIT, HUGE = Decimal(10**12), Decimal(10**9)


def conflicts(policy: Policy, person: Person) -> list[Pair]:
    """The pairs of which this person could do both sides, by own right or lent, if amounts were no matter."""
    able = Person(
        person.email,
        person.roles,
        NO_LIMIT,
        desk.EVERY_FIRM,
        tuple(Capacity(c.roles, NO_LIMIT, desk.EVERY_FIRM, c.of) for c in person.delegated),
    )
    return [pair for pair in policy.apart if _may(policy, able, pair.one) and _may(policy, able, pair.other)]


def _may(policy: Policy, person: Person, duties: list[str]) -> bool:
    return any(desk.authority(policy, person, asked).allowed for duty in duties for asked in probes(duty))


def probes(duty: str) -> list[Subject]:
    """A small one and a huge one, for some may sign only what is large. `release_hold:credit` asks for that hold."""
    action, _, reason = duty.partition(":")
    risk = "released" if action == "settle_quarantine" else ""
    return [Subject(action, amount, reason, risk=risk) for amount in (Decimal(0), HUGE)]


def roles(policy: Policy) -> set[str]:
    """Every role that the authority speaks of."""
    return set(_roles(policy.authority))


@cache
def _roles(cedar: str) -> frozenset[str]:
    called = re.findall(r"principal\.(?:roles|own)\.contains\(\"(\w+)\"\)", cedar)
    listed = re.findall(r"\[([^\]]*)\]\s*\.containsAny\(principal\.(?:roles|own)\)", cedar)
    return frozenset(called) | {word for text in listed for word in re.findall(r"\"(\w+)\"", text)}
