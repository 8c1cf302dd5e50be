"""Users, delegation and the stop switch. Whoever administers users approves nothing, and two people change what somebody may do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import delete

from erp_core.actions import segregation as hands
from erp_core.actions.context import Change, Context
from erp_core.commands import DelegateAuthority, EndDelegation, ResumeAgent, SaveUser, StopAgent
from erp_core.errors import NotAuthorised, NotFound, Problem, RuleViolation
from erp_core.queries import desk
from erp_core.rules import segregation
from erp_core.rules.desk import Capacity, Person
from erp_core.tables.governance import AgentStop
from erp_core.tables.parties import Delegation, Entity, SignIn, User
from erp_core.values import in_utc

ALL = "*"


def save(command: SaveUser, context: Context) -> Change:
    """Roles that may not be in one hand are refused; so is changing oneself. Sessions of an account that ends, end."""
    session, email = context.session, command.email.strip().lower()
    user = session.get(User, email, with_for_update=True)
    lent = desk.person(session, email, context.now).delegated if user else ()
    wanted = Person(email, tuple(command.roles), command.approval_limit, tuple(command.entities), lent)
    problems = [*_roles(command.roles, context), *_firms(command.entities, context), *_apart(wanted, context)]
    if email in hands.signing(context):
        problems.append(Problem("own_user", "Nobody changes what the person itself may do."))
    if problems:
        raise RuleViolation(problems)
    before = snapshot(user) if user else None
    if user is None:
        user = User(email=email)
        session.add(user)
    user.name, user.roles, user.approval_limit = command.name, list(command.roles), command.approval_limit
    user.entities, user.active = list(command.entities), command.active
    session.flush()
    if not user.active:
        session.execute(delete(SignIn).where(SignIn.email == email))
    return Change(f"user:account:{'changed' if before else 'added'}", f"user:{email}", before, snapshot(user))


def snapshot(user: User) -> dict[str, Any]:
    """What somebody may do."""
    return {
        "name": user.name,
        "roles": list(user.roles),
        "approval_limit": str(user.approval_limit),
        "entities": list(user.entities),
        "active": user.active,
    }


def _roles(roles: list[str], context: Context) -> list[Problem]:
    known = segregation.roles(context.policy)
    strange = sorted(set(roles) - known)
    text = f"Policy knows no role {', '.join(strange)}; it knows {', '.join(sorted(known))}."
    return [Problem("role_unknown", text, {"roles": strange})] if strange else []


def _firms(firms: list[str], context: Context) -> list[Problem]:
    strange = [code for code in firms if code != ALL and context.session.get(Entity, code) is None]
    return [Problem("firm_unknown", f"There is no firm {', '.join(strange)}.", {"firms": strange})] if strange else []


def _apart(person: Person, context: Context) -> list[Problem]:
    return [
        Problem(
            "segregation_of_duties",
            f"{person.email} could {pair.text}; these duties are kept apart.",
            {"pair": pair.id},
        )
        for pair in segregation.conflicts(context.policy, person)
    ]


def delegate(command: DelegateAuthority, context: Context) -> Change:
    """Only own roles, only to somebody who is not thereby able to do what must be apart, and never on and on."""
    session = context.session
    giver, taker = desk.person(session, context.actor), desk.person(session, command.to)
    start, end = in_utc(command.starts_at or context.now), in_utc(command.ends_at)
    limit = min(
        command.approval_limit if command.approval_limit is not None else giver.approval_limit, giver.approval_limit
    )
    problems = []
    if not set(command.roles) <= set(giver.roles):
        problems.append(Problem("role_not_own", "Only own roles can be lent, and none that were borrowed."))
    if taker.email == giver.email:
        problems.append(Problem("own_user", "Nobody stands in for the person itself."))
    if not start < end or end <= context.now:
        problems.append(Problem("delegation_over", "A delegation ends after it starts, and in the future."))
    if (end - start).days > context.policy.access.longest_delegation_days:
        days = context.policy.access.longest_delegation_days
        problems.append(Problem("delegation_long", f"A delegation lasts at most {days} days."))
    lent = Capacity(tuple(command.roles), limit, giver.entities, giver.email)
    borrowed = desk.person(session, taker.email, context.now).delegated
    problems += _apart(replace(taker, delegated=(*borrowed, lent)), context)
    if problems:
        raise RuleViolation(problems)
    made = Delegation(
        giver=giver.email,
        taker=taker.email,
        roles=list(command.roles),
        approval_limit=limit,
        starts_at=start,
        ends_at=end,
        reason=command.reason,
    )
    session.add(made)
    session.flush()
    after = {
        "to": made.taker,
        "roles": made.roles,
        "limit": str(limit),
        "from": start.isoformat(),
        "until": end.isoformat(),
    }
    return Change("user:authority:delegated", f"user:{giver.email}", None, {"delegation": made.id, **after})


def end_delegation(command: EndDelegation, context: Context) -> Change:
    """By who lent it or who borrowed it."""
    found = context.session.get(Delegation, command.delegation, with_for_update=True)
    if found is None or found.ended_by is not None or found.ends_at <= context.now:
        raise NotFound(f"There is no delegation {command.delegation} that runs.")
    if context.actor not in (found.giver, found.taker):
        raise NotAuthorised("Who lent authority, or borrowed it, ends a delegation.")
    found.ended_by, found.ends_at = context.actor, context.now
    context.session.flush()
    return Change("user:authority:returned", f"user:{found.giver}", {"to": found.taker}, {"ended_by": context.actor})


def stop(command: StopAgent, context: Context) -> Change:
    """From the next claim on the agent leaves the firm's cases to people; what it filed stays to be decided."""
    _known_firm(command.entity, context)
    if context.session.get(AgentStop, command.entity) is not None:
        raise RuleViolation([Problem("agent_stopped", "The agent is stopped already.")])
    context.session.add(
        AgentStop(entity=command.entity, stopped_by=context.actor, stopped_at=context.now, reason=command.reason)
    )
    context.session.flush()
    return Change(
        "agent:switch:stopped", f"agent:{command.entity}", {"runs": True}, {"runs": False, "reason": command.reason}
    )


def resume(command: ResumeAgent, context: Context) -> Change:
    """The agent works again, oldest and most urgent first."""
    found = context.session.get(AgentStop, command.entity, with_for_update=True)
    if found is None:
        raise RuleViolation([Problem("agent_runs", "The agent is not stopped here.")])
    context.session.delete(found)
    context.session.flush()
    return Change(
        "agent:switch:resumed", f"agent:{command.entity}", {"runs": False}, {"runs": True, "reason": command.reason}
    )


def _known_firm(code: str, context: Context) -> None:
    problems = _firms([code], context)
    if problems:
        raise RuleViolation(problems)
