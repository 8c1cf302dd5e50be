"""Drills: a proposal that was made wrong on purpose never runs, whoever signs it; the agent's own is back at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from erp_core import db
from erp_core.actions import desk as decisions
from erp_core.actions import drills, upkeep
from erp_core.actions.desk import Said
from erp_core.db import Session
from erp_core.policy import DrillPolicy
from erp_core.queries import desk, models, policies, sales
from erp_core.tables.desk import Drill, JournalEntry, Proposal
from erp_core.values import Verdict
from tests.conftest import TODAY
from tests.core.test_decisions import AVA, file, free_order, to_one


@pytest.fixture
def proposal(api: Session, monkeypatch: pytest.MonkeyPatch) -> int:
    """A fresh proposal of the agent under a policy that makes a drill of each."""
    active = policies.active
    monkeypatch.setattr(
        policies, "active", lambda *asked: active(*asked).model_copy(update={"drills": DrillPolicy(one_in=1)})
    )
    order = free_order(api)
    number = file(order, [to_one(order)])
    api.rollback()
    return number


def make() -> int:
    with db.transaction(db.API) as session:
        return drills.make(session, TODAY, decisions.works)


def pending(case: int) -> Proposal:
    with db.reading(db.API) as session:
        found = desk.pending(session, case)
        assert found is not None
        return found


def decide(number: int, verdict: Verdict, **said: Any) -> Any:
    with db.transaction(db.API) as session:
        digest = decisions.preview(session, desk.proposal(session, number), TODAY).digest
        return decisions.decide(session, number, Said(verdict, digest=digest, **said), actor=AVA, now=TODAY)


def ordered(order: str) -> list[Any]:
    with db.reading(db.API) as session:
        return [line.quantity_ordered for line in sales.order(session, order).lines]


def test_as_shipped_there_are_none(api: Session) -> None:
    file(free_order(api), [to_one(free_order(api))])
    assert make() == 0


def test_whoever_signs_a_drill_signs_nothing_and_the_real_one_runs_afterwards(proposal: int, api: Session) -> None:
    case, order = desk.proposal(api, proposal).case_id, free_order(api).number
    asked = desk.proposal(api, proposal).commands
    before = ordered(order)
    assert make() == 1
    assert make() == 0  # a case gets one drill
    shown = pending(case)
    assert shown.commands[0]["changes"][0]["quantity"] == "10"
    missed = decide(shown.id, Verdict.APPROVE)
    assert (missed.outcome, missed.detail) == ("refused", {"drill": "missed"})
    assert "the quantity was 10, asked for is 1" in missed.text
    assert ordered(order) == before
    real = pending(case)
    assert real.commands == asked
    assert decide(real.id, Verdict.APPROVE).outcome == "executed"
    assert ordered(order)[0] == 1


@pytest.mark.parametrize("verdict", [Verdict.REJECT, Verdict.AMEND, Verdict.INSTRUCT, Verdict.ESCALATE])
def test_whoever_sends_it_back_has_seen_it(proposal: int, api: Session, verdict: Verdict) -> None:
    case = desk.proposal(api, proposal).case_id
    make()
    caught = decide(pending(case).id, verdict, reason="ten times too many", commands=[])
    assert caught.detail == {"drill": "caught"}
    assert pending(case).commands == desk.proposal(api, proposal).commands
    told = {r.actor: (r.caught, r.drills) for r in models.reviewers(api, TODAY - timedelta(days=1))}
    assert told == {AVA: (1, 1)}


def test_a_case_that_somebody_opened_gets_none(proposal: int, api: Session) -> None:
    with db.transaction(db.API) as session:
        decisions.saw(session, desk.proposal(session, proposal).case_id, AVA, None, TODAY)
    assert make() == 0


def test_what_expires_is_neither_seen_nor_missed(proposal: int, api: Session) -> None:
    make()
    with db.transaction(db.API) as session:
        upkeep.expire_proposals(session, TODAY + timedelta(days=30))
    assert api.scalars(select(Drill)).one().outcome == "expired"
    assert api.scalars(select(Proposal).where(Proposal.status == "pending")).all() == []


def test_nothing_on_the_case_or_before_the_agent_tells_of_it(proposal: int, api: Session) -> None:
    case = desk.proposal(api, proposal).case_id
    make()
    assert not [e for e in desk.journal(api, case_number=case) if "drill" in e.tag]
    assert api.scalars(select(JournalEntry).where(JournalEntry.tag == "drill:desk:made")).one().after is not None
    with pytest.raises(db.Refused), db.transaction(db.AGENT) as session:
        session.execute(text("SELECT * FROM drill"))


def test_another_order_of_the_same_customer_takes_the_place_of_one_that_is_cancelled(api: Session) -> None:
    wrong = drills.made_wrong(api, [{"type": "cancel_order", "order": "SO-40332", "reason": "x"}])
    assert wrong is not None
    other = wrong.commands[0]["order"]
    assert other != "SO-40332"
    assert sales.order(api, other).customer == sales.order(api, "SO-40332").customer
    assert wrong.words == f"the order was {other}, meant is SO-40332"


def test_what_cannot_be_seen_to_be_wrong_is_left_as_it_is(api: Session) -> None:
    assert (
        drills.made_wrong(api, [{"type": "send_message", "case": 1, "to": "a@b", "subject": "x", "body": "y"}]) is None
    )
