"""Drills: commands that were made wrong on purpose never run, whoever signs them; what the agent proposes is shown again at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text, update

from erp_core import db
from erp_core.actions import desk as decisions
from erp_core.actions import drills, execute
from erp_core.actions.desk import Said
from erp_core.commands import CloseCase, DismissCase
from erp_core.db import Session
from erp_core.policy import DrillPolicy
from erp_core.queries import desk, models, policies, sales
from erp_core.tables.desk import Case, Drill, JournalEntry, Proposal
from erp_core.values import Verdict
from tests.conftest import TODAY
from tests.core.test_decisions import AVA, file, free_order, to_one


@pytest.fixture
def everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy that makes a drill of each proposal."""
    active = policies.active
    drilled = {"drills": DrillPolicy(one_in=1)}
    monkeypatch.setattr(policies, "active", lambda *asked: active(*asked).model_copy(update=drilled))


@pytest.fixture
def proposal(api: Session, everywhere: None) -> int:
    """A fresh proposal of the agent, to order one."""
    order = free_order(api)
    number = file(order, [to_one(order)])
    api.rollback()
    return number


def make() -> int:
    with db.transaction(db.API) as session:
        return drills.make(session, TODAY, decisions.works)


def look(number: int) -> Proposal:
    with db.reading(db.API) as session:
        found = desk.proposal(session, number)
        assert found.shown
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
    order = free_order(api).number
    before = ordered(order)
    assert make() == 1
    assert make() == 0  # a case gets one drill
    assert look(proposal).shown[0]["changes"][0]["quantity"] == "10"
    missed = decide(proposal, Verdict.APPROVE)
    assert (missed.outcome, missed.detail) == ("refused", {"drill": "missed"})
    assert "the quantity was 10, asked for is 1" in missed.text
    assert ordered(order) == before
    shown = look(proposal)
    assert (shown.status, shown.shown) == ("pending", shown.commands)
    assert decide(proposal, Verdict.APPROVE).outcome == "executed"
    assert ordered(order)[0] == 1


@pytest.mark.parametrize("verdict", [Verdict.REJECT, Verdict.AMEND, Verdict.INSTRUCT])
def test_whoever_sends_it_back_has_seen_it(proposal: int, api: Session, verdict: Verdict) -> None:
    make()
    caught = decide(proposal, verdict, reason="ten times too many", commands=[])
    assert caught.detail == {"drill": "caught"}
    shown = look(proposal)
    assert (shown.status, shown.shown) == ("pending", shown.commands)
    decide(proposal, Verdict.APPROVE)
    told = {r.actor: (r.caught, r.drills, r.decided) for r in models.reviewers(api, TODAY - timedelta(days=1))}
    assert told == {AVA: (1, 1, 1)}  # a drill is no decision on what the agent proposes


def test_handing_it_on_says_nothing_of_who_looked(proposal: int, api: Session) -> None:
    make()
    assert decide(proposal, Verdict.ESCALATE, reason="above my limit").outcome == "escalated"
    assert api.scalars(select(Drill)).one().outcome == "left"
    assert [(r.drills, r.decided) for r in models.reviewers(api, TODAY - timedelta(days=1))] == [(0, 1)]
    assert look(proposal).shown == look(proposal).commands


def test_a_drill_whose_proposal_has_expired_is_over_for_nobody(proposal: int, api: Session) -> None:
    make()
    with db.transaction(db.API) as session:
        session.execute(update(Proposal).values(expires_at=TODAY))
    assert "expired" in decide(proposal, Verdict.APPROVE).text
    assert api.scalars(select(Drill)).one().outcome == "left"


@pytest.mark.parametrize(("looked", "outcome"), [(True, "caught"), (False, "left")])
def test_who_dismisses_a_drill_is_told_and_the_case_goes_on(
    proposal: int, api: Session, looked: bool, outcome: str
) -> None:
    make()
    case = look(proposal).case_id
    with db.transaction(db.API) as session:
        if looked:
            decisions.saw(session, case, AVA, None, TODAY)
        done = execute(session, DismissCase(case=case, reason="nonsense"), key="t:d", actor=AVA, now=TODAY)
    assert done.change.after is not None
    assert "This was a drill" in done.change.after["text"]
    assert api.scalars(select(Drill)).one().outcome == outcome
    assert api.get_one(Case, case).status not in ("resolved", "dismissed")
    assert (look(proposal).status, look(proposal).shown) == ("pending", look(proposal).commands)


def test_a_closed_case_stays_closed(proposal: int, api: Session) -> None:
    make()
    case = look(proposal).case_id
    with db.transaction(db.API) as session:
        execute(session, CloseCase(case=case, resolution="x", root_cause="none"), key="t", actor="test", now=TODAY)
    for verdict in (Verdict.REJECT, Verdict.APPROVE):
        assert decide(proposal, verdict, reason="no").outcome == "refused"
    assert api.get_one(Case, case).status == "resolved"


@pytest.mark.parametrize("by", ["a view", "a decision"])
def test_what_somebody_looked_at_gets_none(proposal: int, api: Session, by: str) -> None:
    if by == "a decision":
        decide(proposal, Verdict.SNOOZE)
    else:
        with db.transaction(db.API) as session:
            decisions.saw(session, desk.proposal(session, proposal).case_id, AVA, None, TODAY)
    assert make() == 0


def test_it_is_told_when_it_is_over_and_not_before_nor_to_the_agent(proposal: int, api: Session) -> None:
    make()
    entry = api.scalars(select(JournalEntry).where(JournalEntry.tag == "desk:round:made")).one()
    assert entry.after is not None
    assert set(entry.after) == {"digest"}
    assert not [e for e in desk.journal(api, limit=1000) if "drill" in f"{e.tag} {e.subject} {e.after}"]
    with pytest.raises(db.Refused), db.transaction(db.AGENT) as session:
        session.execute(text("SELECT * FROM drill"))
    decide(proposal, Verdict.REJECT, reason="no")
    told = [e for e in desk.journal(api, case_number=look(proposal).case_id) if e.tag == "drill:desk:caught"]
    assert [(e.before or {}).get("wrong") for e in told] == ["the quantity was 10, asked for is 1"]


def test_another_order_of_the_same_customer_takes_the_place_of_one_that_is_cancelled(api: Session) -> None:
    wrong = drills.made_wrong(api, [{"type": "cancel_order", "order": "SO-40332", "reason": "x"}])
    assert wrong is not None
    other = wrong.commands[0]["order"]
    assert other != "SO-40332"
    assert sales.order(api, other).customer == sales.order(api, "SO-40332").customer
    assert wrong.words == f"the order was {other}, meant is SO-40332"


def test_a_drill_on_another_order_can_be_signed_and_does_not_cancel_it(api: Session, everywhere: None) -> None:
    order = sales.order(api, "SO-40332")
    number = file(order, [{"type": "cancel_order", "order": "SO-40332", "reason": "asked"}])
    api.rollback()
    assert make() == 1
    other = look(number).shown[0]["order"]
    assert decide(number, Verdict.APPROVE).detail == {"drill": "missed"}
    assert sales.order(api, other).status != "cancelled"
    assert sales.order(api, "SO-40332").status != "cancelled"


@pytest.mark.parametrize(
    "commands",
    [
        [{"type": "send_message", "case": 1, "to": "a@b.example", "subject": "x", "body": "y"}],
        [{"type": "amend_order", "order": "SO-40332", "changes": [{"line": 1, "quantity": "0"}]}],
        [{"type": "cancel_order", "order": "SO-NONE", "reason": "x"}],
        [{"type": "amend_order", "order": "SO-40332", "changes": [], "requested_date": "9999-12-31"}],
        [{"type": "no_such_command"}],
    ],
)
def test_what_cannot_be_seen_to_be_wrong_is_left_as_it_is(api: Session, commands: list[dict[str, Any]]) -> None:
    assert drills.made_wrong(api, commands) is None
