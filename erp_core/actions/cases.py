"""Cases: opened, routed, closed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from erp_core.actions import drills
from erp_core.actions.context import Change, Context, write_journal
from erp_core.commands import CloseCase, DismissCase, OpenCase, RouteCase
from erp_core.errors import IllegalTransition, NotFound, Problem, RuleViolation
from erp_core.queries import chats, sales
from erp_core.rules.sales import Violation
from erp_core.tables.desk import Case, Proposal
from erp_core.tables.purchasing import Disruption
from erp_core.tables.sales import Hold, SalesOrder
from erp_core.values import (
    CASE_STEPS,
    OPEN_CASE_STATUSES,
    CaseStatus,
    ChatState,
    HoldReason,
    Priority,
    ProposalStatus,
    Queue,
    transition,
)

BY_ITSELF = "by_itself"  # the root cause of what ended because its reason was gone
NOTHING_WRONG = "none"
ALSO_ASKED = "also_asked"  # what a mail asks besides what its own case is about


def open_case(command: OpenCase, context: Context) -> Change:
    """Open a case; an open one of the same kind and subject is not doubled."""
    if _open_one(command.kind, command.subject, context) is not None:
        detail = f"There is an open case {command.kind} on {command.subject}."
        raise RuleViolation([Problem("case_exists", detail, {"subject": command.subject})])
    case = _add(command, context)
    case.worked = command.kind == ALSO_ASKED  # the agent read it already, and found nothing to propose
    return Change("case:desk:opened", f"case:{case.kind}:{case.subject}", None, snapshot(case))


def route(command: RouteCase, context: Context) -> Change:
    """Hand the case to a queue with its matter in typed fields; people go on with it there."""
    case = locked(command.case, context)
    before = snapshot(case)
    case.queue, case.priority = command.queue, command.priority
    case.details = {**case.details, "matter": command.matter.model_dump(mode="json", exclude_none=True)}
    case.worked, case.assignee = True, None
    if case.status == CaseStatus.AWAITING_REVIEW:
        case.status = transition(CASE_STEPS, CaseStatus.AWAITING_REVIEW, CaseStatus.INVESTIGATING)
    fresh = due_at(context.session, case.opened_at, command.queue, command.priority, case.entity)
    case.due_at = min(filter(None, (case.due_at, fresh)), default=None)
    case.came_at, case.late_chance = context.now, None  # what was said of it in its former queue says nothing here
    return Change("case:desk:routed", f"case:{case.id}", before, snapshot(case))


def close(command: CloseCase, context: Context) -> Change:
    """End the case; what it was about is settled."""
    case = locked(command.case, context)
    _may_end(case, context)
    before = snapshot(case)
    known = context.policy.root_causes
    if command.root_cause not in known:
        said = f"{command.root_cause} is none" if command.root_cause else "Say why it arose"
        raise RuleViolation([Problem("root_cause_unknown", f"{said}; root causes are {', '.join(known)}.")])
    resolve(case, context, command.root_cause, command.resolution)
    return Change("case:desk:closed", f"case:{case.id}", before, {**snapshot(case), "resolution": command.resolution})


def dismiss(command: DismissCase, context: Context) -> Change:
    """End a case that needs nobody. What an order is held for needs somebody as long as the hold stands, and a drill is no word on the case."""
    case = locked(command.case, context)
    _may_end(case, context)
    before = snapshot(case)
    drilled = drills.dismissed(context.session, case.id, context.actor, context.now)
    if drilled is not None:
        return Change("case:desk:drilled", f"case:{case.id}", before, {**snapshot(case), "text": drilled})
    _end(case, CaseStatus.DISMISSED, context, NOTHING_WRONG, command.reason)
    return Change("case:desk:dismissed", f"case:{case.id}", before, {**snapshot(case), "resolution": command.reason})


def _may_end(case: Case, context: Context) -> None:
    """Raise while the hold stands that a case is about, or somebody waits in its chat: nothing goes on out of everybody's sight."""
    for hold in standing_holds(case, context.session):
        text = f"{case.order_number} is still held ({hold.reason}). Release the hold, correct what broke the rule, or cancel the order: the case ends with it."
        raise RuleViolation([Problem("hold_stands", text, {"order": case.order_number, "reason": hold.reason})])
    chat = chats.of_case(context.session, case.id) if case.kind == "chat" else None
    if chat is not None and chat.state != ChatState.CLOSED:
        raise RuleViolation(
            [
                Problem(
                    "chat_goes_on", "The customer is still in this chat. Take it over and end it, then close the case."
                )
            ]
        )


def standing_holds(case: Case, session: Session) -> list[Hold]:
    """The holds that a case is about and that stop the order."""
    if not case.order_number or not case.kind.startswith("hold_"):
        return []
    return [h for h in sales.active_holds(session, case.order_number) if case.kind == f"hold_{h.reason}"]


def resolve(case: Case, context: Context, root_cause: str | None = None, how: str | None = None) -> None:
    """Set an open case to resolved: why it arose, and how it ended."""
    _end(case, CaseStatus.RESOLVED, context, root_cause or case.root_cause or BY_ITSELF, how)


def _end(case: Case, status: CaseStatus, context: Context, root_cause: str, how: str | None) -> None:
    case.status = transition(CASE_STEPS, CaseStatus(case.status), status)
    case.resolved_at, case.root_cause = context.now, root_cause
    case.leased_by = case.leased_until = None
    run_on(case, context)  # what is over waits for nobody
    if how is not None:
        case.details = {**case.details, "resolution": how}
    context.session.flush()
    withdraw(case, context)
    if case.disruption_id is not None:
        _end_disruption(case.disruption_id, context)


def withdraw(case: Case, context: Context) -> None:
    """What is proposed for a case that is over is no longer to be signed. On the case of a decision that runs, the decision ends it."""
    if case.id == context.case:
        return
    waiting = select(Proposal).where(Proposal.case_id == case.id, Proposal.status == ProposalStatus.PENDING)
    # whoever looks at the case has it at this moment and takes the case after it; what is over cannot be signed anyway
    for proposal in context.session.scalars(waiting.with_for_update(skip_locked=True)):
        if proposal.drill is not None:
            drills.end(context.session, proposal.drill, drills.LEFT, context.actor, context.now)
        own = replace(context, key=f"{context.key}:withdrawn:{proposal.id}")
        give_back(proposal, case, ProposalStatus.SUPERSEDED, own)


def give_back(proposal: Proposal, case: Case, status: ProposalStatus, context: Context) -> None:
    """A proposal that ends undecided gives its case back to the agent, and the case's journal says so."""
    proposal.status = status
    if case.status == CaseStatus.AWAITING_REVIEW:
        case.status = transition(CASE_STEPS, CaseStatus.AWAITING_REVIEW, CaseStatus.INVESTIGATING)
        case.worked, case.attempts = False, 0
    after = {"status": status.value}
    change = Change(f"proposal:desk:{status.value}", f"proposal:{proposal.id}", {"status": "pending"}, after)
    write_journal(context, change, context.key, None, case.id)


def look_anew(case: Case) -> None:
    """Unless a person has it, or a proposal waits: there may be more to propose now."""
    if case.assignee is None and case.status in (CaseStatus.NEW, CaseStatus.INVESTIGATING):
        case.worked, case.attempts = False, 0


def run_on(case: Case, context: Context) -> None:
    """A due time that stood still has as much working time left as when it was paused."""
    if case.paused_at is not None and case.due_at is not None:
        asked = {"paused": case.paused_at, "due": case.due_at, "now": context.now, "entity": case.entity}
        case.due_at = context.session.scalar(text("SELECT casework.resumed(:paused, :due, :now, :entity)"), asked)
    case.paused_at = case.paused_for = case.paused_until = None
    look_anew(case)


def _end_disruption(number: int, context: Context) -> None:
    """A disruption ends with the last of its cases."""
    still = select(Case.id).where(Case.disruption_id == number, Case.status.in_(OPEN_CASE_STATUSES)).limit(1)
    disruption = context.session.get_one(Disruption, number, with_for_update=True)
    if disruption.closed_at is None and context.session.scalars(still).first() is None:
        disruption.closed_at = context.now
        context.also(
            Change("disruption:supply:closed", f"disruption:{disruption.subject}", None, {"title": disruption.title})
        )


def for_hold(order: SalesOrder, violation: Violation, context: Context) -> int:
    """The open case of a hold's reason on this order, opened when there is none."""
    kind = f"hold_{violation.reason.value}"
    known = _open_one(kind, order.number, context)
    if known is not None:
        texts = [*known.details.get("problems", []), violation.problem.text]
        known.details = {**known.details, "problems": texts}
        return known.id
    rule = context.policy.holds[violation.reason]
    command = OpenCase(
        kind=kind,
        subject=order.number,
        title=violation.problem.text[:200],
        queue=rule.queue,
        priority=rule.priority,
        customer=order.customer,
        order=order.number,
        at_stake=sales.total(order),
        details={"problems": [violation.problem.text], "rule": rule.rule},
    )
    return _add(command, context).id


def end_hold_case(order: SalesOrder, reason: HoldReason, context: Context, cause: str = "reason gone") -> None:
    """When the last hold of a reason is gone, its case has nothing left to see to."""
    query = select(Hold).where(Hold.order_number == order.number, Hold.reason == reason, Hold.released_at.is_(None))
    if context.session.scalars(query).first() is None:
        case = _open_one(f"hold_{reason.value}", order.number, context)
        if case is not None:
            resolve(case, context, how=cause)


def open_or_add(
    command: OpenCase, context: Context, *, supplier: str | None = None, disruption: int | None = None
) -> int:
    """The open case of this kind and subject, told one problem more and the latest details; a new one when there is none. Never a closed one."""
    known = _open_one(command.kind, command.subject, context)
    if known is None:
        return _opened(command, context, supplier, disruption)
    known.disruption_id = known.disruption_id or disruption
    texts = [*known.details.get("problems", []), *_problems(command)]
    known.details = {**known.details, **command.details, "problems": texts[-50:]}
    context.session.flush()
    return known.id


def open_or_refresh(
    command: OpenCase, context: Context, *, supplier: str | None = None, disruption: int | None = None
) -> int:
    """The open case of this kind and subject, told what is so now instead of before; whoever has it keeps it, and its time runs on."""
    known = _open_one(command.kind, command.subject, context)
    if known is None:
        return _opened(command, context, supplier, disruption)
    known.title, known.at_stake = command.title, command.at_stake
    known.details = {**known.details, **command.details}
    known.disruption_id = known.disruption_id or disruption
    look_anew(known)
    context.session.flush()
    return known.id


def _opened(command: OpenCase, context: Context, supplier: str | None, disruption: int | None) -> int:
    case = _add(command, context)
    case.supplier, case.disruption_id = supplier, disruption
    context.also(Change("case:desk:opened", f"case:{case.kind}:{case.subject}", None, snapshot(case)), case.id)
    return case.id


def _problems(command: OpenCase) -> list[object]:
    said = command.details.get("problems", [])
    return list(said) if isinstance(said, list) else [said]


def end(kind: str, subject: str, context: Context, cause: str) -> None:
    """Resolve the open case of a kind and subject: its cause is gone."""
    case = _open_one(kind, subject, context)
    if case is not None:
        before = snapshot(case)
        resolve(case, context, how=cause)
        context.also(
            Change("case:desk:closed", f"case:{case.id}", before, {**snapshot(case), "resolution": cause}), case.id
        )


def due_at(
    session: Session, start: datetime, queue: Queue | str, priority: Priority | str, firm: str | None
) -> datetime | None:
    """When a case must be done, in the working time of its firm; never for machine mail. New cases get it from the database."""
    asked = {"start": start, "queue": str(queue), "priority": str(priority), "firm": firm}
    due: datetime | None = session.scalar(text("SELECT casework.due(:start, :queue, :priority, :firm)"), asked)
    return due


def locked(number: int, context: Context) -> Case:
    """The case, locked; raises when it is closed."""
    case = context.session.get(Case, number, with_for_update=True)
    if case is None:
        raise NotFound(f"There is no case {number}.")
    if case.status not in OPEN_CASE_STATUSES:
        raise IllegalTransition(f"Case {number} is {case.status}.")
    return case


def snapshot(case: Case) -> dict[str, Any]:
    """The case in plain values."""
    return {
        "queue": case.queue,
        "priority": case.priority,
        "status": case.status,
        "matter": case.details.get("matter"),
    }


def _open_one(kind: str, subject: str, context: Context) -> Case | None:
    query = select(Case).where(Case.kind == kind, Case.subject == subject, Case.status.in_(OPEN_CASE_STATUSES))
    return context.session.scalars(query.with_for_update()).first()


def _add(command: OpenCase, context: Context) -> Case:
    case = Case(
        kind=command.kind,
        subject=command.subject,
        title=command.title,
        queue=command.queue,
        priority=command.priority,
        status=CaseStatus.NEW,
        customer=command.customer,
        order_number=command.order,
        at_stake=command.at_stake,
        opened_at=context.now,
        details=dict(command.details),
    )
    context.session.add(case)
    context.session.flush()
    return case
