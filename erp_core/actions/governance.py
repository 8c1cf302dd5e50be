"""Policy versions: proposed, replayed, put in force, rolled back. Each is a command like any other, and in the journal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select, text

from erp_core import policy
from erp_core.actions import segregation
from erp_core.actions.context import Change, Context
from erp_core.commands import ActivatePolicy, BacktestPolicy, ProposePolicy, RollBackPolicy
from erp_core.errors import Problem, RuleViolation
from erp_core.queries import backtest as replays
from erp_core.queries import policies
from erp_core.tables.governance import PolicyActivation, PolicyBacktest, PolicyVersion

ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended('policy in force', 0))")


def propose(command: ProposePolicy, context: Context) -> Change:
    """A version of the two texts, if they can be read and say something new."""
    candidate = policy.parse(command.numbers, command.authority)
    twin = context.session.scalars(select(PolicyVersion).where(PolicyVersion.hash == candidate.hash)).one_or_none()
    if twin is not None:
        raise RuleViolation(
            [Problem("policy_known", f"This is version {twin.id}, word for word.", {"version": twin.id})]
        )
    made = PolicyVersion(
        hash=candidate.hash,
        numbers=command.numbers,
        authority=command.authority,
        content=candidate.model_dump(mode="json"),
        summary=command.summary,
        author=context.actor,
        proposed_at=context.now,
        based_on=policies.active_number(context.session, context.now),
    )
    context.session.add(made)
    context.session.flush()
    changed = policies.differences(context.policy, candidate)
    after = {"summary": made.summary, "hash": made.hash, "changed": [list(x) for x in changed]}
    return Change("policy:version:proposed", f"policy:{made.id}", None, after)


def backtest(command: BacktestPolicy, context: Context) -> Change:
    """Keep what a version would have done otherwise than what was decided."""
    found = policies.numbered(context.session, command.version)
    candidate = policies.version(context.session, found.hash)
    result = replays.replay(context.session, candidate, context.policy, context.now, command.days)
    against = policies.active_number(context.session, context.now)
    context.session.add(
        PolicyBacktest(
            version=found.id,
            against=against,
            days=command.days,
            result=result,
            run_by=context.actor,
            run_at=context.now,
        )
    )
    context.session.flush()
    told = {"against": against, "days": command.days, **result["totals"]}
    return Change("policy:version:backtested", f"policy:{found.id}", None, told)


def activate(command: ActivatePolicy, context: Context) -> Change:
    """Author and activator are two people, and whoever activates can see what would have been different."""
    context.session.execute(ONE_AT_A_TIME)
    found = policies.numbered(context.session, command.version)
    segregation.of_policy(found, context)
    start = command.active_from or context.now
    if start.tzinfo is None:
        start = start.replace(tzinfo=UTC)
    problems = []
    if start < context.now:
        problems.append(Problem("starts_in_past", "A policy cannot come into force in the past."))
    if policies.latest_backtest(context.session, found.id) is None:
        problems.append(Problem("backtest_missing", f"Replay version {found.id} over the last days first."))
    if found.id == policies.active_number(context.session, context.now) and start <= context.now:
        problems.append(Problem("already_active", f"Version {found.id} is in force."))
    if problems:
        raise RuleViolation(problems)
    policies.version(context.session, found.hash)  # what this program cannot read cannot come into force
    return _start(found, start, command.reason, "policy:version:activated", context)


def roll_back(command: RollBackPolicy, context: Context) -> Change:
    """Back to a version that two people once put in force (or that shipped): the way out when a change does harm."""
    context.session.execute(ONE_AT_A_TIME)
    found = policies.numbered(context.session, command.version)
    problems = []
    if not any(a.active_from <= context.now for a in policies.activations(context.session, found.id)):
        problems.append(Problem("never_active", f"Version {found.id} was never in force; activate it instead."))
    if found.id == policies.active_number(context.session, context.now):
        problems.append(Problem("already_active", f"Version {found.id} is in force."))
    if problems:
        raise RuleViolation(problems)
    policies.version(context.session, found.hash)
    return _start(found, context.now, command.reason or "Rolled back", "policy:version:rolled_back", context)


def _start(found: PolicyVersion, start: datetime, reason: str, tag: str, context: Context) -> Change:
    session = context.session
    before = _standing(session.get_one(PolicyVersion, policies.active_number(session, context.now)))
    session.add(
        PolicyActivation(
            version=found.id,
            active_from=start,
            activated_by=context.actor,
            activated_at=context.now,
            reason=reason,
        )
    )
    session.flush()
    policies.forget(session)
    return Change(tag, f"policy:{found.id}", before, {**_standing(found), "from": start.isoformat(), "reason": reason})


def _standing(found: PolicyVersion) -> dict[str, Any]:
    return {"version": found.id, "hash": found.hash, "summary": found.summary}
