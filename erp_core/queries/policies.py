"""Which policy is in force, and the versions there are. The hash of a version is on every decision and journal entry."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from erp_core import clock, policy
from erp_core.errors import NotFound
from erp_core.policy import Policy
from erp_core.rules.desk import rule_bodies
from erp_core.tables.governance import PolicyActivation, PolicyBacktest, PolicyVersion

# the latest start that has come counts; of two starts at one moment, the one said later
IN_FORCE = """
SELECT a.id AS start, v.id, v.hash FROM policy_activation a JOIN policy_version v ON v.id = a.version
WHERE a.active_from <= coalesce(cast(:now AS timestamptz), casework.desk_now()) ORDER BY a.active_from DESC, a.id DESC LIMIT 1
"""


def active(session: Session, now: datetime | None = None) -> Policy:
    """The policy in force at a moment, or by the installation's clock. Asked once a transaction."""
    known = session.info.get(clock.POLICY)
    if now is None and (known is None or known[0] is not session.get_transaction()):
        clock.now(session)
        known = session.info.get(clock.POLICY)
    if known is not None and known[0] is session.get_transaction() and now in (None, known[1]):
        return version(session, known[2])
    found = _in_force(session, now)[2]
    session.info[clock.POLICY] = (session.get_transaction(), now, found)
    return version(session, found)


def forget(session: Session) -> None:
    """Ask anew: another version is in force from now on."""
    session.info.pop(clock.POLICY, None)


def active_number(session: Session, now: datetime) -> int:
    """The number of the version in force."""
    return _in_force(session, now)[1]


def active_start(session: Session, now: datetime) -> int:
    """The number of the activation that counts: each start is another, also of a version that was in force before."""
    return _in_force(session, now)[0]


def _in_force(session: Session, now: datetime | None) -> tuple[int, int, str]:
    row = session.execute(text(IN_FORCE), {"now": now}).one_or_none()
    if row is None:
        raise NotFound("No policy is in force; run `countersign migrate`.")
    return row.start, row.id, row.hash


def version(session: Session, fingerprint: str) -> Policy:
    """The policy with a hash. Raises NotFound; RuleViolation when this program cannot read it any more."""
    try:
        return _parsed(fingerprint)
    except KeyError:
        row = session.scalars(select(PolicyVersion).where(PolicyVersion.hash == fingerprint)).one_or_none()
        if row is None or not row.numbers:
            raise NotFound(f"The text of policy {fingerprint[:12]} is not kept here.") from None
        _TEXTS[fingerprint] = (row.numbers, row.authority)
        return _parsed(fingerprint)


def texts(session: Session, fingerprint: str) -> tuple[str, str]:
    """Numbers and authority of the policy with a hash, word for word."""
    version(session, fingerprint)
    return _TEXTS[fingerprint]


_TEXTS: dict[str, tuple[str, str]] = {}


@lru_cache(maxsize=64)
def _parsed(fingerprint: str) -> Policy:
    return policy.parse(*_TEXTS[fingerprint])


def numbered(session: Session, number: int) -> PolicyVersion:
    """The version with a number. Raises NotFound."""
    found = session.get(PolicyVersion, number)
    if found is None:
        raise NotFound(f"There is no policy version {number}.")
    return found


def numbers_of(session: Session, beginning: str) -> list[int]:
    """The versions whose hash begins so, newest first; few letters of it mean none."""
    if not re.fullmatch(r"[0-9a-f]{8,64}", beginning):
        return []
    query = select(PolicyVersion.id).where(PolicyVersion.hash.startswith(beginning, autoescape=True))
    return list(session.scalars(query.order_by(PolicyVersion.id.desc())))


def latest_backtest(session: Session, number: int) -> PolicyBacktest | None:
    """The newest replay of a version."""
    query = select(PolicyBacktest).where(PolicyBacktest.version == number).order_by(PolicyBacktest.id.desc()).limit(1)
    return session.scalars(query).one_or_none()


def coming(session: Session, now: datetime) -> list[PolicyActivation]:
    """Starts still to come, the next first; of two said for one moment the later said counts."""
    starts = _starts(session)
    return [starts[moment] for moment in sorted(starts) if moment > now]


def _starts(session: Session) -> dict[datetime, PolicyActivation]:
    """The start that counts at each moment."""
    return {a.active_from: a for a in sorted(activations(session), key=lambda a: (a.active_from, a.id))}


def activations(session: Session, number: int | None = None) -> list[PolicyActivation]:
    """When which version came into force, newest first."""
    query = select(PolicyActivation).order_by(PolicyActivation.active_from.desc(), PolicyActivation.id.desc())
    return list(session.scalars(query if number is None else query.where(PolicyActivation.version == number)))


@dataclass(frozen=True)
class VersionRow:
    """A version and where it stands: proposed, scheduled, active or retired, and the times it was in force (the last may be to come)."""

    version: PolicyVersion
    state: str
    spans: list[tuple[datetime, datetime | None]]

    @property
    def since(self) -> datetime | None:
        """When it came, or comes, into force the last time."""
        return self.spans[-1][0] if self.spans else None

    @property
    def until(self) -> datetime | None:
        """When that ended."""
        return self.spans[-1][1] if self.spans else None


def versions(session: Session, now: datetime) -> list[VersionRow]:
    """All versions, newest first."""
    starts = _starts(session)
    moments = sorted(starts)
    spans: dict[int, list[tuple[datetime, datetime | None]]] = {}
    for start, end in zip(moments, [*moments[1:], None], strict=True):
        own = spans.setdefault(starts[start].version, [])
        if own and own[-1][1] == start:
            own[-1] = (own[-1][0], end)  # it went on
        else:
            own.append((start, end))
    return [
        VersionRow(one, _state(spans.get(one.id, []), now), spans.get(one.id, []))
        for one in session.scalars(select(PolicyVersion).order_by(PolicyVersion.id.desc()))
    ]


def _state(spans: Sequence[tuple[datetime, datetime | None]], now: datetime) -> str:
    if any(since <= now and (until is None or until > now) for since, until in spans):
        return "active"
    if any(since > now for since, _ in spans):
        return "scheduled"
    return "retired" if spans else "proposed"


def approvals_of_firms(session: Session, found: PolicyVersion) -> dict[tuple[str, str, str], PolicyActivation]:
    """Who put each firm's own number in force, as it is in a version: by firm, part and number."""
    wanted = _own_numbers(found)
    approved: dict[tuple[str, str, str], PolicyActivation] = {}
    for start in reversed(activations(session)):
        have = _own_numbers(session.get_one(PolicyVersion, start.version))
        for place, value in wanted.items():
            if have.get(place) != value:
                approved.pop(place, None)
            else:
                approved.setdefault(place, start)
    return approved


def _own_numbers(found: PolicyVersion) -> dict[tuple[str, str, str], str]:
    firms = found.content.get("local", {}).get("firms", {})
    return {(f, p, n): str(v) for f, parts in firms.items() for p, fields in parts.items() for n, v in fields.items()}


def differences(old: Policy, new: Policy) -> list[tuple[str, str, str]]:
    """Each number that is not the same, and each rule of authority: its place, and what it was and is."""
    before, after = (
        {
            **_flat(p.model_dump(mode="json", exclude={"hash", "authority"})),
            **{f"authority {code}": said for code, said in rule_bodies(p.authority).items()},
        }
        for p in (old, new)
    )
    places = sorted({*before, *after})
    return [(p, before.get(p, "–"), after.get(p, "–")) for p in places if before.get(p) != after.get(p)]


def _flat(value: Any, place: str = "") -> dict[str, str]:
    if isinstance(value, dict):
        return {k: v for name, part in value.items() for k, v in _flat(part, f"{place}.{name}".strip(".")).items()}
    if isinstance(value, list):
        return {place: ", ".join(str(x) for x in value)}
    return {place: str(value)}
