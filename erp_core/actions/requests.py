"""What people ask the core for themselves: run at once under their own authority, or proposed where policy wants two people."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from erp_core import actions
from erp_core.actions import cases, intake, segregation
from erp_core.actions.context import PREVIEW, Change, Context, earlier, write_journal
from erp_core.actions.desk import larger
from erp_core.commands import MOST_COMMANDS, Command, OpenCase, PlaceOrder, ReleaseHold
from erp_core.errors import CountersignError, NotAuthorised, NotFound, Problem, RuleViolation
from erp_core.queries import desk as queries
from erp_core.queries import policies, sales
from erp_core.queries.subjects import subject_of, versions
from erp_core.rules import desk as rules
from erp_core.tables.desk import Case, Proposal
from erp_core.tables.parties import Entity
from erp_core.tables.sales import SalesOrder
from erp_core.values import CASE_STEPS, CaseStatus, HoldReason, ProposalStatus, Queue, transition


def act(session: Session, command: Command, *, key: str, actor: str, now: datetime) -> actions.Result:
    """A person runs one command directly, under the same authority as a signature.

    Raises NotAuthorised when no rule permits it, or when policy wants a second person: then it must be proposed and signed.
    """
    policy, person = policies.active(session, now), queries.person(session, actor, now)
    subject = subject_of(session, command)
    if not rules.authority(policy, person, subject).allowed:
        raise NotAuthorised(f"No rule lets {actor} {command.type.replace('_', ' ')}.")
    if rules.needs_second(policy, subject):
        raise NotAuthorised(f"Policy wants two people for {command.type.replace('_', ' ')} of {subject.amount:,}.")
    result = actions.execute(session, command, key=key, actor=actor, now=now)
    after = larger(subject, subject_of(session, command))
    if not rules.authority(policy, person, after).allowed or rules.needs_second(policy, after):
        raise NotAuthorised(f"This would come to {after.amount:,}, more than {actor} may sign alone.")
    return result


@dataclass(frozen=True)
class Tried:
    """What an order would come to: its state as it would be, the holds it would get, and what would be promised."""

    after: dict[str, Any]
    holds: list[dict[str, Any]]


def try_out(session: Session, order: PlaceOrder, *, now: datetime) -> Tried:
    """Enter an order and take it back: what its entry would find. Raises as the entry would."""
    savepoint = session.begin_nested()
    try:
        done = actions.execute(session, order, key=f"trial:{uuid.uuid4()}", actor=PREVIEW, now=now)
    finally:
        savepoint.rollback()
        session.expire_all()
    held = [c.after for c in done.beside if c.tag == "order:hold:placed" and c.after]
    return Tried(done.change.after or {}, held)


def note_refusal(session: Session, what: str, error: CountersignError, *, actor: str, now: datetime) -> None:
    """What somebody tried and may not is written down: missing authority, and duties that are kept apart. Other mistakes are not."""
    codes = [p.code for p in error.problems] if isinstance(error, RuleViolation) else [type(error).__name__]
    if not isinstance(error, NotAuthorised) and "segregation_of_duties" not in codes:
        return
    context = Context(session, f"refused:{uuid.uuid4()}", actor, now, policies.active(session, now))
    after = {"what": what, "text": str(error)[:1000], "problems": codes}
    write_journal(context, Change("access:command:refused", f"user:{actor}", None, after), context.key, None)


def act_orders(
    session: Session, orders: Sequence[PlaceOrder], *, key: str, actor: str, now: datetime
) -> list[actions.Verdict]:
    """A person, or a channel, enters many orders, each under the same authority as alone. Raises NotAuthorised for the first it may not."""
    policy, person = policies.active(session, now), queries.person(session, actor, now)
    sums: dict[str, Decimal] = {}
    for order in orders:
        subject = subject_of(session, order)
        sums[order.customer] = (
            sums.get(order.customer, Decimal(0)) + subject.amount
        )  # many small ones are one large one
        subject = replace(subject, amount=sums[order.customer])
        if not rules.authority(policy, person, subject).allowed or rules.needs_second(policy, subject):
            raise NotAuthorised(f"{actor} may not enter an order of {subject.amount:,} alone.")
    for customer in sums:
        first = next(o for o in orders if o.customer == customer)
        segregation.of_command(first, Context(session, f"{key}:apart", actor, now, policy))
    asked = [intake.Asked(order, f"{key}:{n}") for n, order in enumerate(orders, start=1)]
    return actions.execute_orders(session, asked, actor=actor, now=now)


def propose(
    session: Session, commands: Sequence[Command], *, key: str, reason: str, actor: str, now: datetime
) -> Proposal:
    """A person proposes what policy wants two people for. It waits on a case of its own for signatures, the asker's being one at most.

    The same key and request give the first proposal again. Raises NotAuthorised unless the asker may sign at least one of the
    commands, KeyReused when the key stands for another request.
    """
    policy, person = policies.active(session, now), queries.person(session, actor, now)
    subjects = [subject_of(session, command) for command in commands]
    if not rules.signature(policy, person, subjects).covers:
        raise NotAuthorised(f"No rule lets {actor} propose this.")
    context = Context(session, f"propose:{key}", actor, now, policy)
    said = {"commands": [c.model_dump(mode="json", exclude_none=True) for c in commands], "reason": reason}
    first = earlier(session, context.key, said)
    if first is not None:
        return session.get_one(Proposal, int(str(first.subject).split(":")[1]))
    words = ", ".join(c.type.replace("_", " ") for c in commands)
    queue = (
        Queue.MASTER_DATA
        if all(c.type.startswith(("set_", "save_", "update_")) for c in commands)
        else Queue.CUSTOMER_SERVICE
    )
    named = {number for c in commands if (number := getattr(c, "order", None))}
    order = session.get(SalesOrder, named.pop()) if len(named) == 1 else None
    title = f"{actor} asks{f' about {order.number}' if order else ''}: {words}"
    of = {"order": order.number, "customer": order.customer} if order else {}
    request = OpenCase(kind="request", subject=key, title=title[:200], queue=queue, **of)
    case = session.get_one(Case, cases.open_or_add(request, context))
    firms = {s.entity for s in subjects if s.entity not in ("", "*")}
    if len(firms) > 1:
        raise RuleViolation(
            [Problem("several_firms", f"This is about {', '.join(sorted(firms))}; ask for each firm by itself.")]
        )
    case.entity = next((code for code in firms if session.get(Entity, code) is not None), None)
    case.status = transition(CASE_STEPS, CaseStatus(case.status), CaseStatus.AWAITING_REVIEW)
    case.worked = True
    return _filed(case, commands, reason, context)


def prepare_release(session: Session, number: int, *, reason: str, actor: str, now: datetime) -> Proposal:
    """On the case of a hold, a person proposes to release what of it is active; what the agent proposed there gives way.

    Up to three holds of the reason in one proposal. Raises NotFound when none is active, NotAuthorised unless the person may sign it.
    """
    policy, person = policies.active(session, now), queries.person(session, actor, now)
    context = Context(session, f"prepare:{number}:{uuid.uuid4()}", actor, now, policy, number)
    case = cases.locked(number, context)
    held = [h for h in sales.active_holds(session, case.order_number or "") if f"hold_{h.reason}" == case.kind]
    commands = [
        ReleaseHold(order=h.order_number, reason=HoldReason(h.reason), line=h.line, note=reason)
        for h in held[:MOST_COMMANDS]
    ]
    if not commands:
        raise NotFound(f"No hold of case {number} is active.")
    if not rules.signature(policy, person, [subject_of(session, c) for c in commands]).covers:
        raise NotAuthorised(f"No rule lets {actor} release this.")
    earlier_one = queries.pending(session, number)
    if earlier_one is not None:
        earlier_one.status = ProposalStatus.SUPERSEDED
        session.flush()
    if case.status != CaseStatus.AWAITING_REVIEW:
        case.status = transition(CASE_STEPS, CaseStatus(case.status), CaseStatus.AWAITING_REVIEW)
    case.worked = True
    return _filed(case, commands, reason, context)


def _filed(case: Case, commands: Sequence[Command], reason: str, context: Context) -> Proposal:
    """A person's proposal on a case, waiting for signatures; the asker's is one at most."""
    session, said = context.session, [c.model_dump(mode="json", exclude_none=True) for c in commands]
    made = Proposal(
        case_id=case.id,
        action="request",
        commands=said,
        rationale=reason,
        evidence=[],
        versions=versions(session, commands),
        policy={"verdict": "needs_approval", "rules": [], "policy": context.policy.hash},
        confidence="strong",
        digest="",
        status=ProposalStatus.PENDING,
        asked_by=context.actor,
        filed_by=context.actor,
        filed_at=context.now,
        expires_at=context.now + timedelta(hours=context.policy.proposals.expire_after_hours),
    )
    session.add(made)
    session.flush()
    told = {"commands": said, "reason": reason}
    write_journal(context, Change("case:proposal:filed", f"proposal:{made.id}", None, told), context.key, None, case.id)
    return made
