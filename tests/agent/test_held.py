"""Held orders: what is proposed can be signed, asking keeps the case, and policy's numbers decide who is let go."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from agent import credit
from agent.choosing import Choice
from agent.draft import Draft
from erp_core import policy
from erp_core.actions import clocks
from erp_core.actions import desk as decisions
from erp_core.actions.desk import Said
from erp_core.commands import COMMANDS
from erp_core.db import Session
from erp_core.queries import desk, sales
from erp_core.tables.desk import Case, Proposal
from erp_core.tables.parties import Customer
from erp_core.values import Action, HoldReason, Outcome, Priority, Queue, Verdict
from tests.conftest import TODAY
from tools import world

POLICY = policy.shipped()
SIGNERS = {
    "credit": "cara.lim@northfieldsupply.example",
}


def cases(api: Session, kind: str) -> list[int]:
    found = list(api.scalars(select(Case.id).where(Case.kind == kind).order_by(Case.id)))
    api.rollback()
    return found


def worked(worker: Any, api: Session, number: int) -> Proposal:
    worker.work(number)
    proposal = desk.pending(api, number)
    assert proposal is not None
    return proposal


def types(commands: Sequence[dict[str, Any]]) -> list[str]:
    return [c["type"] for c in commands]


def sign(api: Session, proposal: Proposal, name: str) -> Outcome:
    seen = decisions.preview(api, proposal, TODAY)
    said = Said(Verdict.APPROVE, "as proposed", digest=seen.digest)
    outcome = decisions.decide(api, proposal.id, said, actor=name, now=TODAY).outcome
    api.commit()
    return outcome


@pytest.mark.parametrize("kind", ["hold_credit", "hold_stock", "hold_price", "hold_margin", "hold_abnormal"])
def test_what_is_proposed_for_a_held_order_and_instead_of_it_could_run_now(
    worker: Any, api: Session, kind: str
) -> None:
    for number in cases(api, kind)[:12]:
        proposal = worked(worker, api, number)
        finding = desk.case_file(api, number).finding
        assert finding is not None
        ways = [proposal.commands, *(a["commands"] for a in finding.content["plan"]["alternatives"])]
        for way in ways:
            seen = decisions.preview(api, proposal, TODAY, instead=COMMANDS.validate_python(way))
            assert not seen.problems, (number, types(way), seen.problems)
        owner = desk.owner(api, api.get_one(Case, number), POLICY, desk.people(api, TODAY))
        assert owner in proposal.policy["may_sign"] or proposal.policy["verdict"] == "needs_two_signatures"
        api.commit()
        assert len(ways) > 1 or types(ways[0]) == ["route_case"]


def test_asking_the_customer_keeps_the_case_and_the_hold_until_the_answer_or_the_day(worker: Any, api: Session) -> None:
    number = next(n for n in cases(api, "hold_credit") if "send_message" in types(worked(worker, api, n).commands))
    proposal = desk.pending(api, number)
    assert proposal is not None
    assert types(proposal.commands) == ["send_message", "pause_case"]
    assert sign(api, proposal, SIGNERS["credit"]) == Outcome.EXECUTED
    case = api.get_one(Case, number, populate_existing=True)
    assert (case.status, case.worked, case.paused_for) == ("investigating", True, "customer")
    assert [h.reason for h in sales.active_holds(api, str(case.order_number)) if h.reason == HoldReason.CREDIT]
    api.commit()
    assert worker.work(number) is None  # it waits
    after = case.paused_until
    assert after is not None
    clocks.look(api, after + timedelta(minutes=1))
    api.commit()
    again = worked(worker, api, number)
    assert types(again.commands) == ["route_case"]
    assert "was asked on" in again.rationale


def test_only_one_letter_asks_a_customer_for_the_account(worker: Any, api: Session) -> None:
    whose: dict[str, list[str]] = {}
    for number in cases(api, "hold_credit"):
        proposal = worked(worker, api, number)
        customer = str(api.get_one(Case, number).customer)
        whose.setdefault(customer, []).append("+".join(types(proposal.commands)))
        api.rollback()
    several = [said for said in whose.values() if len(said) > 1 and "send_message+pause_case" in said]
    assert several
    assert all(said.count("send_message+pause_case") == 1 for said in several)
    assert any("pause_case" in said for said in several)


def test_a_wrong_price_is_put_right_by_one_word_and_no_price_can_be_typed(worker: Any, api: Session) -> None:
    for number in cases(api, "hold_price"):
        proposal = worked(worker, api, number)
        if types(proposal.commands) == ["amend_order"]:
            break
        api.rollback()
    change = proposal.commands[0]["changes"][0]
    assert set(change) == {"line", "reprice"}
    order = str(api.get_one(Case, number).order_number)
    expected = Decimal(sales.broken(api, order, HoldReason.PRICE)[0]["facts"]["expected"])
    seen = decisions.preview(api, proposal, TODAY)
    assert not seen.problems
    assert sign(api, proposal, "ava.stone@northfieldsupply.example") == Outcome.EXECUTED
    line = next(x for x in sales.order(api, order).lines if x.line == change["line"])
    assert line.unit_price * line.quantity_ordered / line.quantity_base == expected
    assert not sales.broken(api, order, HoldReason.PRICE)


@pytest.mark.parametrize(
    ("over", "overdue", "paid", "late", "let_go"),
    [(5, 0, 9, 2, True), (10, 0, 3, 10, True), (11, 0, 9, 2, False), (5, 1, 9, 2, False), (5, 0, 2, 2, False), (5, 0, 9, 11, False)],
)  # fmt: skip
def test_who_is_a_little_over_the_limit_and_pays_well_is_let_go(
    worker: Any,
    api: Session,
    monkeypatch: pytest.MonkeyPatch,
    over: int,
    overdue: int,
    paid: int,
    late: int,
    let_go: bool,
) -> None:
    customer = api.scalars(select(Customer)).first()
    assert customer is not None
    code = customer.code
    api.rollback()
    known = {"exposure": Decimal(1000 + over * 10), "open_orders": Decimal(0), "limit": Decimal(1000), "currency": "USD",
             "overdue": Decimal(overdue), "open": [], "paid": paid, "days_late": Decimal(late)}  # fmt: skip
    monkeypatch.setattr(world, "standing", lambda _: known)
    order = {"number": "SO-1", "customer": code, "total": "100.00", "holds": ["credit"]}
    choice = Choice(Action.REVIEW_CREDIT_HOLD, Queue.CREDIT, Priority.HIGH, "hold credit")
    draft = Draft(1, {"language": "en"}, {"order": order}, choice)
    given = {"kind": "hold_credit", "customer": code, "order": "SO-1", "queue": "credit", "priority": "high",
             "details": {}, "asked_on": None, "late": False}  # fmt: skip
    first = credit.ways(draft, given, [{"line": None, "code": "credit_limit_exceeded", "facts": {}}])[0]
    assert (first.commands[0].type == "release_hold") is let_go


def test_goods_that_were_moved_are_not_moved_again_without_a_new_look(worker: Any, api: Session) -> None:
    moves: dict[tuple[str, str], list[int]] = {}
    for number in cases(api, "hold_stock"):
        for command in worked(worker, api, number).commands:
            if command["type"] == "transfer_stock":
                moves.setdefault((command["sku"], command["target"]), []).append(number)
        api.rollback()
    first = next(iter(moves.values()))[0]
    proposal = desk.pending(api, first)
    assert proposal is not None
    move = next(c for c in proposal.commands if c["type"] == "transfer_stock")
    other = next(
        n for n in cases(api, "hold_stock") if n != first and "send_message" in types(pending(api, n).commands)
    )
    twin = pending(api, other)
    twin.commands = [{**move, "quantity": "1"}]
    api.commit()
    assert sign(api, pending(api, first), "eli.frost@northfieldsupply.example") == Outcome.EXECUTED
    case = api.get_one(Case, other, populate_existing=True)
    assert api.get_one(Proposal, twin.id, populate_existing=True).status == "superseded"
    assert (case.status, case.worked) == ("investigating", False)
    assert "proposal:desk:superseded" in [e.tag for e in desk.case_file(api, other).journal]  # its own record says why


def pending(api: Session, number: int) -> Proposal:
    found = desk.pending(api, number)
    assert found is not None
    return found
