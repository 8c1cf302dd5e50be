"""Who may sign what. One decision point: Cedar over the policy in force; what nothing permits is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, lru_cache
from itertools import combinations, permutations

import cedarpy

from erp_core.policy import Policy
from erp_core.values import digest

EVERY_FIRM = ("*",)


@dataclass(frozen=True)
class Capacity:
    """What somebody signs as: roles, limit in the currency of the document, firms; `of` is who gave it, by delegation."""

    roles: tuple[str, ...]
    approval_limit: Decimal
    entities: tuple[str, ...] = EVERY_FIRM
    of: str = ""


@dataclass(frozen=True)
class Person:
    """Who signs: own roles, limit and firms, and what others delegated to the person for now."""

    email: str
    roles: tuple[str, ...]
    approval_limit: Decimal
    entities: tuple[str, ...] = EVERY_FIRM
    delegated: tuple[Capacity, ...] = ()

    @property
    def capacities(self) -> tuple[Capacity, ...]:
        """The own one first."""
        return (Capacity(self.roles, self.approval_limit, self.entities), *self.delegated)

    @property
    def firms(self) -> tuple[str, ...]:
        """The firms whose records the person may see: the own ones, and those of whoever lent authority."""
        return tuple(sorted({firm for capacity in self.capacities for firm in capacity.entities}))


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
    """Allowed or not, the ids of the rules that said so (empty: nothing permits it), and the capacity it was allowed in."""

    allowed: bool
    rules: tuple[str, ...]
    capacity: Capacity | None = None


def authority(policy: Policy, person: Person, subject: Subject) -> Ruling:
    """May this person sign this command, by own right or by delegation? Default deny."""
    rulings = (_ruling(policy.authority, person.email, person.roles, c, subject) for c in person.capacities)
    own = next(rulings)
    return own if own.allowed else next((r for r in rulings if r.allowed), own)


@lru_cache(maxsize=20_000)
def _ruling(cedar: str, email: str, own: tuple[str, ...], capacity: Capacity, subject: Subject) -> Ruling:
    """Cedar's answer depends on these alone, so it may be remembered."""
    principal = {
        "uid": {"type": "User", "id": email},
        "attrs": {
            "roles": list(capacity.roles),
            "own": list(own),
            "limit": _cents(capacity.approval_limit),
            "entities": list(capacity.entities),
        },
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
        "principal": f"User::{json.dumps(email)}",
        "action": f"Action::{json.dumps(subject.action)}",
        "resource": f"Command::{json.dumps(subject.action)}",
        "context": {},
    }
    answer = cedarpy.is_authorized(request, _parsed(cedar), [principal, resource])
    names = rule_names(cedar)
    allowed = bool(answer.allowed) and not answer.diagnostics.errors
    rules = tuple(sorted(names[r][0] for r in answer.diagnostics.reasons))
    return Ruling(allowed, rules, capacity if allowed else None)


@cache
def _parsed(cedar: str) -> cedarpy.PolicySet:
    return cedarpy.PolicySet.from_str(cedar)


@cache
def rule_names(cedar: str) -> dict[str, tuple[str, str]]:
    """Cedar's policy numbers to our rule ids and their sentences."""
    policies = json.loads(cedarpy.policies_to_json_str(cedar))["staticPolicies"]
    return {key: (p["annotations"]["id"], p["annotations"]["text"]) for key, p in policies.items()}


def rule_bodies(cedar: str) -> dict[str, str]:
    """What each rule says, by its id: its sentence and a digest of the rest, for a changed condition under an old sentence is a change."""
    policies = json.loads(cedarpy.policies_to_json_str(cedar))["staticPolicies"].values()
    return {p["annotations"]["id"]: f"{p['annotations']['text']} ({digest(p)[:8]})" for p in policies}


def rule_text(policy: Policy, rule: str) -> str:
    """The sentence of a rule id; empty when there is none."""
    return next((text for name, text in rule_names(policy.authority).values() if name == rule), "")


@dataclass(frozen=True)
class Need:
    """How many people sign a command, and which roles the steps of its chain ask for (each step one person)."""

    people: int = 1
    steps: tuple[tuple[str, ...], ...] = ()


def need(policy: Policy, subject: Subject) -> Need:
    """What policy wants for a command: `action:reason` goes before `action`; of a chain, the highest step that the amount reaches."""
    names = (f"{subject.action}:{subject.reason}", subject.action)
    over = next((policy.four_eyes[name] for name in names if name in policy.four_eyes), None)
    chains = next((policy.chains[name] for name in names if name in policy.chains), [])
    reached = [c for c in chains if subject.amount > c.above]
    steps = max(reached, key=lambda c: c.above).steps if reached else []
    two = 2 if over is not None and subject.amount > over else 1
    return Need(max(two, len(steps)), tuple(tuple(step) for step in steps))


def needs_second(policy: Policy, subject: Subject) -> bool:
    """Does policy want more than one person for this command?"""
    return need(policy, subject).people > 1


@dataclass(frozen=True)
class Signature:
    """One person's yes: which commands (by position) the person may sign, and in which capacity each."""

    email: str
    covers: frozenset[int]
    capacities: tuple[tuple[int, Capacity], ...] = ()

    @property
    def hands(self) -> frozenset[str]:
        """Who counts as having signed: a deputy's yes is also that of whoever gave the authority."""
        return frozenset({self.email, *(c.of for _, c in self.capacities if c.of)})

    def roles(self, position: int) -> frozenset[str]:
        """The roles in which one of the commands is signed."""
        return frozenset(role for at, c in self.capacities if at == position for role in c.roles)


def signature(policy: Policy, person: Person, subjects: Sequence[Subject]) -> Signature:
    """What a person's yes would cover of some commands."""
    rulings = {i: ruling for i, s in enumerate(subjects) if (ruling := authority(policy, person, s)).allowed}
    used = tuple((i, r.capacity) for i, r in rulings.items() if r.capacity is not None)
    return Signature(person.email, frozenset(rulings), used)


@dataclass(frozen=True)
class Standing:
    """What a proposal still needs: commands nobody with authority signed, and those wanting another person."""

    unsigned: tuple[int, ...]
    want_second: tuple[int, ...]

    @property
    def complete(self) -> bool:
        return not self.unsigned and not self.want_second


def standing(
    policy: Policy, subjects: Sequence[Subject], signatures: Sequence[Signature], asked_by: str | None
) -> Standing:
    """Which commands are signed. Where several sign, no two of them are one pair of hands, and one did not ask for it."""
    unsigned: list[int] = []
    want_second: list[int] = []
    for position, subject in enumerate(subjects):
        signers = [s for s in signatures if position in s.covers]
        if not signers:
            unsigned.append(position)
        elif not _enough(signers, position, need(policy, subject), asked_by):
            want_second.append(position)
    return Standing(tuple(unsigned), tuple(want_second))


def _enough(signers: Sequence[Signature], position: int, want: Need, asked_by: str | None) -> bool:
    return any(_serve(group, position, want, asked_by) for group in permutations(signers, want.people))


def _serve(group: Sequence[Signature], position: int, want: Need, asked_by: str | None) -> bool:
    if any(a.hands & b.hands for a, b in combinations(group, 2)):
        return False
    if want.people > 1 and all(asked_by in s.hands for s in group):
        return False
    return all(s.roles(position) & set(step) for s, step in zip(group, want.steps, strict=False))


@dataclass(frozen=True)
class Ground:
    """All that a decision on authority rests on. Kept with each decision, so that it can be judged again, under any policy."""

    person: Person
    subjects: tuple[Subject, ...]
    earlier: tuple[Person, ...] = ()
    asked_by: str | None = None
    ends: str | None = None  # the queue of the case that this would end
    firm: str = ""  # of that case


@dataclass(frozen=True)
class Judgement:
    """What authority says: `refused`, `signed` (more people must), or `complete`; the rules that said so, and who is missing."""

    outcome: str
    rules: tuple[str, ...]
    waiting: tuple[str, ...] = ()


def judge(policy: Policy, ground: Ground) -> Judgement:
    """May this person's yes, after those before it, let the commands run?"""
    own = signature(policy, ground.person, ground.subjects)
    said = tuple(sorted({r for s in ground.subjects for r in authority(policy, ground.person, s).rules}))
    if not own.covers:
        return Judgement("refused", said)
    earlier = [signature(policy, person, ground.subjects) for person in ground.earlier]
    found = standing(policy, ground.subjects, [*earlier, own], ground.asked_by)
    waiting = tuple(sorted({ground.subjects[i].action for i in (*found.unsigned, *found.want_second)}))
    if waiting:
        return Judgement("signed", said, waiting)
    # one of those who sign must be one who may end such a case
    if ground.ends is not None and not any(
        may_end(policy, p, ground.ends, ground.firm) for p in (*ground.earlier, ground.person)
    ):
        return Judgement("refused", said)
    return Judgement("complete", said)


def may_end(policy: Policy, person: Person, queue: str, firm: str = "") -> bool:
    """May this person end a case of a queue and firm?"""
    return authority(policy, person, Subject("close_case", queue=queue, entity=firm)).allowed


def may_work(policy: Policy, person: Person, queue: str, firm: str = "") -> bool:
    """May this person decide in a queue of a firm at all? Whoever may route a case may also send it back."""
    return authority(policy, person, Subject("route_case", queue=queue, entity=firm)).allowed


def _cents(amount: Decimal) -> int:
    return int((amount * 100).to_integral_value())
