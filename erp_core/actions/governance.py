"""Policy versions: proposed, replayed, put in force, rolled back. Each is a command like any other, and in the journal."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, text

from erp_core import policy
from erp_core.actions import checks, segregation
from erp_core.actions.context import PREVIEW, Change, Context
from erp_core.commands import ActivatePolicy, BacktestPolicy, ProposePolicy, RollBackPolicy, WithdrawPolicy
from erp_core.errors import Problem, RuleViolation
from erp_core.policy import Policy
from erp_core.queries import backtest as replays
from erp_core.queries import desk, policies
from erp_core.rules import desk as rules
from erp_core.rules import must_pass
from erp_core.rules import segregation as separation
from erp_core.rules.desk import Subject
from erp_core.tables.governance import PolicyActivation, PolicyBacktest, PolicyVersion
from erp_core.values import in_utc

VITAL = ("propose_policy", "activate_policy", "roll_back_policy", "save_user", "route_case", "close_case")
FRESH = timedelta(days=7)
WITH_OPEN_ORDERS = """
SELECT DISTINCT customer FROM (SELECT customer FROM sales_order WHERE status IN ('entered', 'validated', 'allocated', 'released') AND picked_at IS NULL
 ORDER BY ordered_at DESC LIMIT 500) x ORDER BY customer"""
ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended('policy in force', 0))")


def propose(command: ProposePolicy, context: Context) -> Change:
    """A version of the two texts, if they can be read and say something new."""
    candidate = policy.parse(command.numbers, command.authority, whole=True)
    locked = _usable(candidate, context)
    if locked:
        raise RuleViolation(locked)
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
    result["open"] = _open_orders(candidate, context)
    result["must"] = must_pass.failures(candidate)
    result["totals"]["open_differ"] = len(result["open"])
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


def _open_orders(candidate: Policy, context: Context) -> list[dict[str, Any]]:
    """Orders still open, checked again under the candidate as they stand now: what its first minutes would do. Nothing of it stays."""
    session = context.session
    savepoint = session.begin_nested()
    trial = Context(session, f"trial:{uuid.uuid4()}", PREVIEW, context.now, candidate, former=context.policy)
    for customer in session.scalars(text(WITH_OPEN_ORDERS)).all():
        checks.look_again(customer, trial)
    found = [
        {
            "order": c.subject.split(":", 1)[1],
            "what": c.tag.rsplit(":", 1)[1],
            "reason": (c.after or {}).get("reason"),
            "text": (c.after or {}).get("text", ""),
        }
        for c in trial.beside
        if c.tag in ("order:hold:placed", "order:hold:lifted")
    ]
    savepoint.rollback()
    session.expire_all()
    return found


def activate(command: ActivatePolicy, context: Context) -> Change:
    """Author and activator are two people, and whoever activates can see what would have been different."""
    context.session.execute(ONE_AT_A_TIME)
    found = policies.numbered(context.session, command.version)
    segregation.of_policy(found, context)
    start = in_utc(command.active_from or context.now)
    problems = []
    if start < context.now:
        problems.append(Problem("starts_in_past", "A policy cannot come into force in the past."))
    seen, active = (
        policies.latest_backtest(context.session, found.id),
        policies.active_number(context.session, context.now),
    )
    if seen is None or seen.against != active or seen.run_at < context.now - FRESH:
        text_ = f"Replay version {found.id} over the last days first, against version {active} and within {FRESH.days} days."
        problems.append(Problem("backtest_missing", text_))
    if found.id == active and start <= context.now:
        problems.append(Problem("already_active", f"Version {found.id} is in force."))
    if problems:
        raise RuleViolation(problems)
    candidate = policies.version(context.session, found.hash)
    failed = [Problem("must_pass", words) for words in must_pass.failures(candidate)]
    locked = [*failed, *_usable(candidate, context)]
    if locked:
        raise RuleViolation(locked)
    return _start(found, start, command.reason, "policy:version:activated", context)


def _usable(candidate: Policy, context: Context) -> list[Problem]:
    """A policy under which nobody could change policy or users any more, or somebody had both sides of a pair, comes to nothing."""
    people = [person for _, person in desk.people(context.session, context.now)]
    able = {verb: {p.email for p in people if rules.authority(candidate, p, Subject(verb)).allowed} for verb in VITAL}
    found = [
        Problem("locks_out", f"Nobody could {verb.replace('_', ' ')} any more.", {"command": verb})
        for verb, emails in able.items()
        if not emails
    ]
    if able["propose_policy"] and able["activate_policy"] and len(able["propose_policy"] | able["activate_policy"]) < 2:
        found.append(Problem("locks_out", "One person alone could change the policy."))
    for person in people:
        found += [
            Problem(
                "segregation_of_duties", f"{person.email} could {pair.text}.", {"pair": pair.id, "person": person.email}
            )
            for pair in separation.conflicts(candidate, person)
        ]
    return found


def withdraw(command: WithdrawPolicy, context: Context) -> Change:
    """A version that has not come into force yet does not: what is in force goes on at that moment."""
    session = context.session
    session.execute(ONE_AT_A_TIME)
    found = policies.numbered(session, command.version)
    coming = [a for a in policies.coming(session, context.now) if a.version == found.id]
    if not coming:
        raise RuleViolation([Problem("not_scheduled", f"Version {found.id} is not waiting to come into force.")])
    before = _standing(session.get_one(PolicyVersion, policies.active_number(session, context.now)))
    _call_off(coming, command.reason, context)
    return Change(
        "policy:version:withdrawn", f"policy:{found.id}", before, {"version": found.id, "reason": command.reason}
    )


def _call_off(coming: Sequence[PolicyActivation], reason: str, context: Context) -> None:
    """Of two starts at one moment the later said counts: the version in force starts then once more."""
    active = policies.active_number(context.session, context.now)
    for one in coming:
        context.session.add(
            PolicyActivation(
                version=active,
                active_from=one.active_from,
                activated_by=context.actor,
                activated_at=context.now,
                reason=f"version {one.version} is called off: {reason}"[:500],
            )
        )
    context.session.flush()


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
    done = _start(found, context.now, command.reason or "Rolled back", "policy:version:rolled_back", context)
    _call_off(policies.coming(context.session, context.now), "rolled back", context)
    return done


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
