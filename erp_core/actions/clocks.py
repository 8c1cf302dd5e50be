"""Due times that run and stand still, late cases that go from one to the next, and playbooks: nothing waits without somebody's name on it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, insert, select, text
from sqlalchemy.orm import Session

from erp_core.actions import cases, messages
from erp_core.actions.context import Change, Context
from erp_core.commands import CheckStep, PauseCase, ResumeCase
from erp_core.errors import Problem, RuleViolation
from erp_core.policy import Policy
from erp_core.queries import desk, policies
from erp_core.rules import queues
from erp_core.tables.desk import IS_OPEN, Case, CaseStep, QueueDepth, WorkingSpan
from erp_core.values import Queue, digest, in_utc

CLOCK = "clock"
AT_ONCE = 50
BEHIND, AHEAD = timedelta(days=400), timedelta(days=500)
RENEW = timedelta(days=100)

COUNT = """
INSERT INTO queue_depth (entity, queue, open, late, to_sign, at_stake, counted_at)
SELECT coalesce(entity, ''), queue, count(*), count(*) FILTER (WHERE due_at < :now AND paused_at IS NULL),
 count(*) FILTER (WHERE status = 'awaiting_review'), coalesce(sum(at_stake), 0), :now
FROM case_file WHERE status IN ('new', 'investigating', 'awaiting_review') AND (snoozed_until IS NULL OR snoozed_until <= :now)
GROUP BY 1, 2
"""


def keep_spans(session: Session, policy: Policy, now: datetime) -> None:
    """Write down when people work, far enough ahead for every due time, as the policy in force says."""
    session.execute(delete(WorkingSpan))
    first, last = (now - BEHIND).date(), (now + AHEAD).date()
    rows = [
        {"calendar": name, "starts": starts, "ends": ends}
        for name, calendar in policy.calendars.items()
        for starts, ends in queues.spans(calendar, first, last)
    ]
    if rows:
        session.execute(insert(WorkingSpan), rows)


def renew_spans(session: Session, now: datetime) -> None:
    """Before they run out, or when the installation's clock was set to another day."""
    first, last = session.execute(select(func.min(WorkingSpan.starts), func.max(WorkingSpan.starts))).one()
    if last is None or last < now + AHEAD - RENEW or first > now - BEHIND + RENEW:
        keep_spans(session, policies.active(session, now), now)


def pause(command: PauseCase, context: Context) -> Change:
    """The due time stands still while the case waits for somebody outside, for a reason that policy knows and not for ever."""
    case = cases.locked(command.case, context)
    rule, until = context.policy.clocks, in_utc(command.until)
    problems = []
    if command.waits_for not in rule.pauses:
        text_ = f"A case may wait for {', '.join(rule.pauses)}; not for {command.waits_for}."
        problems.append(Problem("pause_unknown", text_, {"waits_for": command.waits_for}))
    if case.paused_at is not None:
        problems.append(Problem("paused_already", f"It waits for {case.paused_for} already."))
    if not context.now < until <= context.now + timedelta(days=rule.longest_pause_days):
        problems.append(Problem("pause_long", f"A pause ends in the future, within {rule.longest_pause_days} days."))
    if case.breached_at is not None:
        problems.append(Problem("late_already", "It is late; what is late is not put off."))
    if problems:
        raise RuleViolation(problems)
    case.paused_at, case.paused_for, case.paused_until = context.now, command.waits_for, until
    context.session.flush()
    after = {"waits_for": command.waits_for, "until": until.isoformat(), "note": command.note}
    return Change("case:clock:paused", f"case:{case.id}", {"due_at": _text(case.due_at)}, after)


def resume(command: ResumeCase, context: Context) -> Change:
    """The due time runs on: as much working time is left as there was."""
    case = cases.locked(command.case, context)
    if case.paused_at is None:
        raise RuleViolation([Problem("not_paused", "Its due time runs.")])
    return _resumed(case, context)


def _resumed(case: Case, context: Context) -> Change:
    before = {"waits_for": case.paused_for, "due_at": _text(case.due_at)}
    cases.run_on(case, context)
    context.session.flush()
    return Change("case:clock:resumed", f"case:{case.id}", before, {"due_at": _text(case.due_at)})


def check(command: CheckStep, context: Context) -> Change:
    """A step of the playbook is done."""
    case = cases.locked(command.case, context)
    steps = context.policy.playbooks.get(case.kind, [])
    if not 1 <= command.step <= len(steps):
        raise RuleViolation([Problem("step_unknown", f"The playbook of {case.kind} has {len(steps)} steps.")])
    if context.session.get(CaseStep, (case.id, command.step)) is not None:
        raise RuleViolation([Problem("step_done", f"Step {command.step} is checked off.")])
    done = CaseStep(case_id=case.id, step=command.step, checked_by=context.actor, checked_at=context.now)
    context.session.add(done)
    context.session.flush()
    return Change("case:step:checked", f"case:{case.id}", None, {"step": command.step, "text": steps[command.step - 1]})


def look(session: Session, now: datetime) -> int:
    """Cases whose pause is over run on; those that are late are said to be, and go to the next person of their path. Call until 0."""
    policy = policies.active(session, now)
    done = 0
    for case in _some(session, Case.paused_until <= now):
        context = Context(session, f"resume:{case.id}:{_text(case.paused_at)}", CLOCK, now, policy, case.id)
        context.also(_resumed(case, context), case.id)
        done += 1
    waiting = (Case.due_at <= now, Case.breached_at.is_(None), Case.paused_at.is_(None), Case.queue != Queue.NONE)
    for case in _some(session, *waiting):
        case.breached_at = now
        _escalate(case, Context(session, f"breach:{case.id}:{_text(case.due_at)}", CLOCK, now, policy, case.id))
        done += 1
    for case in _some(session, Case.escalate_at <= now):
        _escalate(case, Context(session, f"escalate:{case.id}:{_text(case.escalate_at)}", CLOCK, now, policy, case.id))
        done += 1
    return done


def _some(session: Session, *which: Any) -> list[Case]:
    query = select(Case).where(IS_OPEN, *which).order_by(Case.due_at, Case.id).limit(AT_ONCE)
    return list(session.scalars(query.with_for_update(skip_locked=True)))


def _escalate(case: Case, context: Context) -> None:
    """To the next role of the path that somebody has; the person gets the case, and a mail that says so."""
    path = queues.escalation_path(context.policy, case.queue)
    before = {"assignee": case.assignee, "escalations": case.escalations}
    found = None
    while found is None and case.escalations < len(path):
        found = desk.holder(context.session, path[case.escalations], case.entity, context.now)
        case.escalations += 1
    hours = timedelta(hours=context.policy.escalation.hours_between)
    case.escalate_at = context.now + hours if case.escalations < len(path) else None
    if found is not None:
        case.assignee = found
        _tell(case, found, context)
    after = {"assignee": case.assignee, "escalations": case.escalations, "due_at": _text(case.due_at)}
    tag = "case:sla:breached" if case.breached_at == context.now else "case:sla:escalated"
    context.also(Change(tag, f"case:{case.id}", before, after), case.id)


def _tell(case: Case, email: str, context: Context) -> None:
    words = context.policy.notices.get("breached", "").strip()
    if not words:
        return
    slots = {
        "case": case.id,
        "title": case.title,
        "due": f"{case.due_at:%b %d, %H:%M} UTC" if case.due_at else "long ago",
        "assignee": desk.name(context.session, email),
        "queue": case.queue.replace("_", " "),
    }
    name, body = digest([context.key, email])[:24], words.format_map(slots)
    messages.put_out(context.session, name, email, f"Late: case {case.id}", body, context.now, case.id)


def count_queues(session: Session, now: datetime) -> None:
    """How deep each queue is, for screens that must not count a million cases each."""
    session.execute(delete(QueueDepth))
    session.execute(text(COUNT), {"now": now})


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
