"""Queues in words: what is counted stands in the table, each firm's reader is told of that firm's, and a model's themes hold or are left out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from agent import summarising
from agent.llm import Line, Scripted
from erp_core import casework, db
from erp_core.actions import digests as mailing
from erp_core.db import Session
from erp_core.errors import RuleViolation
from erp_core.queries import digests
from erp_core.rules.digest import sentences
from erp_core.tables.desk import Case, OutboxMail, Summary
from erp_core.values import OPEN_CASE_STATUSES
from tests.conftest import TODAY

IDA = "ida.marsh@northfieldsupply.example"


def open_credit(session: Session) -> list[Case]:
    query = select(Case).where(Case.queue == "credit", Case.status.in_(OPEN_CASE_STATUSES))
    return list(session.scalars(query.order_by(Case.band, Case.place, Case.id)))


def test_a_queue_is_counted_as_it_stands(api: Session) -> None:
    cases = open_credit(api)
    told = sentences(digests.figures(api, "credit", TODAY))
    worth = sum(c.at_stake or 0 for c in cases)
    assert told[0].text.startswith(f"{len(cases)} open, ")
    assert f"{worth:,.2f} at stake" in told[0].text
    assert list(told[0].cases) == [c.id for c in cases[:12]]
    late = sentences(digests.figures(api, "credit", TODAY + timedelta(days=30)))
    assert f"{len(cases)} of them late" in late[0].text
    assert all(s.cases for s in told)


def test_an_empty_queue_says_so(api: Session) -> None:
    assert [s.text for s in sentences(digests.figures(api, "compliance", TODAY))] == ["Nothing is open here."]


def test_who_wants_it_gets_it_by_mail_once_a_day(api: Session) -> None:
    mailing.subscribe(api, IDA, "credit", 6)
    assert mailing.send_due(api, TODAY.replace(hour=5)) == 0
    assert mailing.send_due(api, TODAY) == 1
    assert mailing.send_due(api, TODAY) == 0
    assert mailing.send_due(api, TODAY + timedelta(days=1)) == 1
    sent = api.scalars(select(OutboxMail).where(OutboxMail.to == IDA)).all()
    assert len(sent) == 2
    assert f"{len(open_credit(api))} open" in sent[0].body
    mailing.unsubscribe(api, IDA, "credit")
    assert mailing.send_due(api, TODAY + timedelta(days=2)) == 0
    with pytest.raises(RuleViolation):
        mailing.subscribe(api, IDA, "nonsense", 6)


def test_themes_of_a_model_are_kept_where_their_cases_and_numbers_hold(database: str, api: Session) -> None:
    first, second = (c.id for c in open_credit(api)[:2])
    other = api.scalar(select(func.max(Case.id)).where(Case.queue == "allocation"))
    entity = api.get_one(Case, first).entity
    assert entity is not None
    api.rollback()
    said = [
        {"text": "Two large holds wait for a decision.", "cases": [first, second]},
        {"text": "These need somebody.", "cases": []},
        {"text": "This one is of another queue.", "cases": [other]},
        {"text": "987,654.00 are at risk.", "cases": [first]},
    ]
    line = Line(Scripted(lambda _: {"sentences": said}), 5.0)
    assert summarising.summarise("credit", entity, line) == 1
    kept = api.scalars(select(Summary)).one()
    assert [(s["text"], s["cases"]) for s in kept.sentences] == [(said[0]["text"], sorted([first, second]))]


@pytest.mark.parametrize(
    "row",
    [
        {"text": "x", "cases": [999999]},
        {"text": "x" * 401, "cases": []},
        {"text": 5, "cases": []},
        {"text": "x", "cases": "1"},
    ],
)
def test_the_core_keeps_no_summary_of_other_cases(database: str, row: dict[str, Any]) -> None:
    with pytest.raises(db.Refused), db.transaction(db.AGENT) as session:
        casework.keep_summary(session, "credit", "NFS", "model", [row])
