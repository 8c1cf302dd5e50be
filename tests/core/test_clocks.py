"""Due times run while people work; what is late is said to be late and goes to somebody; nothing crosses a band."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text

from erp_core import policy
from erp_core.actions import clocks, execute, requests
from erp_core.commands import CheckStep, CloseCase, OpenCase, PauseCase, ResumeCase
from erp_core.db import Session
from erp_core.errors import NotAuthorised, RuleViolation
from erp_core.queries import desk
from erp_core.queries.desk import Filter
from erp_core.rules import queues
from erp_core.tables.desk import Case, CaseStep, JournalEntry, OutboxMail
from erp_core.values import Priority, Queue
from tests.conftest import TODAY

POLICY = policy.shipped()
AVA, CARA, IDA, LEE = (f"{n}@northfieldsupply.example" for n in ("ava.stone", "cara.lim", "ida.marsh", "lee.voss"))
FRIDAY = datetime(2026, 7, 2, 21, 0, tzinfo=UTC)  # a Thursday, 17:00 in New York; Friday is a holiday


def opened(
    session: Session, priority: str = "normal", at: datetime = TODAY, queue: str = "credit", **more: Any
) -> Case:
    key = f"case:{priority}:{at}:{queue}:{more}"
    command = OpenCase(
        kind=more.pop("kind", "hold_credit"),
        subject=key[:200],
        title="a case",
        queue=Queue(queue),
        priority=Priority(priority),
        **more,
    )
    result = execute(session, command, key=key[:300], actor=IDA, now=at)
    return session.scalars(select(Case).where(Case.subject == result.change.subject.split(":", 2)[2])).one()


def act(session: Session, command: Any, actor: str = CARA, at: datetime = TODAY) -> Any:
    return requests.act(session, command, key=f"{command.type}:{at}:{actor}:{command}", actor=actor, now=at)


@pytest.mark.parametrize(
    ("priority", "start", "due"),
    [
        ("urgent", datetime(2026, 6, 15, 12, 0, tzinfo=UTC), datetime(2026, 6, 15, 14, 0, tzinfo=UTC)),
        (
            "high",
            datetime(2026, 6, 15, 20, 0, tzinfo=UTC),
            datetime(2026, 6, 16, 16, 0, tzinfo=UTC),
        ),  # closes at 23:00 UTC, opens at 11:00
        ("urgent", datetime(2026, 6, 13, 9, 0, tzinfo=UTC), datetime(2026, 6, 15, 13, 0, tzinfo=UTC)),  # a Saturday
        ("high", FRIDAY, datetime(2026, 7, 6, 17, 0, tzinfo=UTC)),  # two hours, then a holiday and a weekend
        (
            "high",
            datetime(2026, 10, 30, 22, 0, tzinfo=UTC),
            datetime(2026, 11, 2, 19, 0, tzinfo=UTC),
        ),  # the clock went back on Sunday
        ("high", datetime(2027, 3, 12, 23, 0, tzinfo=UTC), datetime(2027, 3, 15, 18, 0, tzinfo=UTC)),  # and forward
    ],
)
def test_a_case_is_due_after_so_many_hours_of_work(api: Session, priority: str, start: datetime, due: datetime) -> None:
    assert opened(api, priority, start).due_at == due


def test_each_site_keeps_its_own_holidays(api: Session) -> None:
    day = datetime(2026, 6, 30, 22, 0, tzinfo=UTC)  # Canada Day is tomorrow
    at_home, in_canada = (
        api.scalar(text("SELECT casework.due(:d, 'credit', 'urgent', :e)"), {"d": day, "e": e}) for e in ("NS1", "NS2")
    )
    assert at_home == datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
    assert in_canada == datetime(2026, 7, 2, 12, 0, tzinfo=UTC)


@given(st.dates(date(2026, 1, 1), date(2027, 12, 1)), st.integers(1, 40))
def test_spans_never_overlap_and_last_as_long_as_the_clock_on_the_wall_says(first: date, days: int) -> None:
    for calendar in POLICY.calendars.values():
        found = list(queues.spans(calendar, first, first + timedelta(days=days)))
        assert all(a[1] <= b[0] for a, b in pairwise(found))
        hours = calendar.closes.hour - calendar.opens.hour
        assert all(end - start == timedelta(hours=hours) for start, end in found)
        assert all(start.date() not in calendar.holidays for start, _ in found)


def test_a_pause_leaves_as_much_working_time_as_there_was(api: Session) -> None:
    case = opened(api, "high")
    act(
        api,
        PauseCase(case=case.id, waits_for="customer", until=TODAY + timedelta(days=3)),
        at=TODAY + timedelta(hours=2),
    )
    act(api, ResumeCase(case=case.id), at=TODAY + timedelta(days=1))
    api.refresh(case)
    assert case.due_at == TODAY + timedelta(days=1, hours=6)
    assert case.paused_at is None


def test_a_pause_ends_by_itself_and_what_is_paused_is_not_late(api: Session) -> None:
    case = opened(api, "high")
    until = TODAY + timedelta(days=2)
    act(api, PauseCase(case=case.id, waits_for="supplier", until=until))
    clocks.look(api, TODAY + timedelta(days=1))
    assert case.breached_at is None
    clocks.look(api, until)
    api.refresh(case)
    assert (case.paused_at, case.due_at) == (None, until + timedelta(hours=8))


@pytest.mark.parametrize(
    ("waits_for", "days", "code"),
    [("lunch", 1, "pause_unknown"), ("customer", 60, "pause_long"), ("customer", -1, "pause_long")],
)
def test_a_pause_has_a_reason_and_an_end(api: Session, waits_for: str, days: int, code: str) -> None:
    case = opened(api)
    with pytest.raises(RuleViolation) as told:
        act(api, PauseCase(case=case.id, waits_for=waits_for, until=TODAY + timedelta(days=days)))
    assert [p.code for p in told.value.problems] == [code]


def test_what_is_late_is_not_put_off(api: Session) -> None:
    case = opened(api, "urgent", TODAY - timedelta(days=5))
    while clocks.look(api, TODAY):
        pass
    with pytest.raises(RuleViolation, match="what is late is not put off"):
        act(api, PauseCase(case=case.id, waits_for="customer", until=TODAY + timedelta(days=1)))


def test_a_late_case_gets_a_person_who_is_told_and_then_the_next_one(api: Session) -> None:
    case = opened(api, "urgent", TODAY - timedelta(days=5))
    while clocks.look(api, TODAY):
        pass
    api.refresh(case)
    assert (case.breached_at, case.assignee, case.escalations) == (TODAY, CARA, 1)
    mail = api.scalars(select(OutboxMail).where(OutboxMail.case_id == case.id)).one()
    assert (mail.to, mail.subject) == (CARA, f"Late: case {case.id}")
    while clocks.look(api, TODAY + timedelta(hours=5)):
        pass
    api.refresh(case)
    assert (case.assignee, case.escalations, case.escalate_at) == (IDA, 2, None)
    while clocks.look(api, TODAY + timedelta(days=9)):
        pass
    api.refresh(case)
    assert (case.assignee, case.escalations) == (IDA, 2)
    tags = list(api.scalars(select(JournalEntry.tag).where(JournalEntry.case_id == case.id).order_by(JournalEntry.id)))
    assert tags[-2:] == ["case:sla:breached", "case:sla:escalated"]


def test_a_breach_is_raised_once_and_never_for_machine_mail(api: Session) -> None:
    opened(api, "low", TODAY - timedelta(days=50), queue="none")
    late = opened(api, "low", TODAY - timedelta(days=50))
    while clocks.look(api, TODAY):
        pass
    found = list(api.scalars(select(Case.id).where(Case.breached_at.is_not(None))))
    assert late.id in found
    assert api.scalars(select(Case.queue).where(Case.breached_at.is_not(None), Case.queue == "none")).first() is None
    count = select(JournalEntry).where(JournalEntry.tag == "case:sla:breached", JournalEntry.case_id == late.id)
    assert len(list(api.scalars(count))) == 1


def order_of(session: Session, queue: str = "security") -> list[str]:
    return [row.case.title for row in desk.case_rows(session, Filter(queue=queue), TODAY)]


def test_weight_moves_a_case_within_its_band_and_never_across(api: Session) -> None:
    for title, priority, stake, hours in (
        ("small and old", "normal", 10, 40), ("large", "normal", 45_000, 0), ("small and new", "normal", 10, 0),
        ("low but huge", "low", 9_000_000, 900), ("high and small", "high", 1, 0),
    ):  # fmt: skip
        at = TODAY - timedelta(hours=hours)
        command = OpenCase(
            kind="request",
            subject=title,
            title=title,
            queue=Queue.SECURITY,
            priority=Priority(priority),
            at_stake=Decimal(stake),
        )
        execute(api, command, key=title, actor=IDA, now=at)
    assert order_of(api) == ["high and small", "large", "small and old", "small and new", "low but huge"]


def test_a_better_customer_comes_first_among_equals(api: Session) -> None:
    rows = api.execute(text("SELECT DISTINCT ON (tier) tier, code FROM customer ORDER BY tier, code")).all()
    for tier, code in reversed(rows):
        command = OpenCase(kind="request", subject=tier, title=tier, queue=Queue.SECURITY, customer=code)
        execute(api, command, key=tier, actor=IDA, now=TODAY)
    assert order_of(api) == sorted(tier for tier, _ in rows)


def test_steps_of_the_playbook_are_checked_off_once_by_who_works_there(api: Session) -> None:
    case = opened(api)
    act(api, CheckStep(case=case.id, step=1))
    assert [(s.step, s.checked_by) for s in api.scalars(select(CaseStep).where(CaseStep.case_id == case.id))] == [
        (1, CARA)
    ]
    for step, code in ((1, "step_done"), (9, "step_unknown")):
        with pytest.raises(RuleViolation) as told:
            act(api, CheckStep(case=case.id, step=step), AVA)
        assert told.value.problems[0].code == code
    with pytest.raises(NotAuthorised):
        act(api, CheckStep(case=case.id, step=2), LEE)


@pytest.mark.parametrize("cause", [None, "bad luck"])
def test_who_closes_a_case_names_a_root_cause_of_the_list(api: Session, cause: str | None) -> None:
    case = opened(api)
    with pytest.raises(RuleViolation, match="root causes are"):
        act(api, CloseCase(case=case.id, resolution="done", root_cause=cause))
    act(api, CloseCase(case=case.id, resolution="done", root_cause="supplier"))
    assert case.root_cause == "supplier"


def test_counts_of_the_clock_are_those_of_counting(api: Session) -> None:
    counted = sorted(desk.queue_counts(api, TODAY), key=lambda q: q.queue)
    clocks.count_queues(api, TODAY)
    assert sorted(desk.queue_counts(api, TODAY), key=lambda q: q.queue) == counted
    opened(api)
    assert (
        sorted(desk.queue_counts(api, TODAY + timedelta(minutes=5)), key=lambda q: q.queue) != counted
    )  # counted anew when the clock is gone


def test_every_playbook_is_of_a_kind_of_case_and_every_hold_has_one(api: Session) -> None:
    assert {f"hold_{reason}" for reason in POLICY.holds} <= POLICY.playbooks.keys()


def test_a_firm_works_by_its_own_calendar_else_by_its_countrys(api: Session) -> None:
    assert desk.calendar_of(api, "NS2") == "ca"
    assert desk.calendar_of(api, None) == POLICY.clocks.default
