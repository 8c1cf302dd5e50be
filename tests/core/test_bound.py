"""A signature is bound to what was shown: another digest, proposal, text, policy or fact, a second use or a late one is not signed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from erp_core import policy
from erp_core.actions import batches, execute, requests
from erp_core.actions import desk as decisions
from erp_core.actions.desk import DecisionResult, Said
from erp_core.commands import ActivatePolicy, AmendOrder, BacktestPolicy, LineChange, ProposePolicy
from erp_core.db import Session
from erp_core.errors import RuleViolation
from erp_core.queries import desk, sales
from erp_core.tables.desk import Decision, JournalEntry, Proposal
from erp_core.tables.sales import SalesOrder
from erp_core.values import Outcome, Verdict
from tests.conftest import TODAY
from tests.core.test_decisions import AVA, IDA, file, free_order, reply, to_one

CARA = "cara.lim@northfieldsupply.example"
NUMBERS, AUTHORITY = policy.texts()
Tamper = Callable[[Session, Proposal, SalesOrder], None]


def shown(session: Session, number: int) -> str:
    return decisions.preview(session, desk.proposal(session, number), TODAY).digest


def sign(session: Session, number: int, digest: str, at: Any = TODAY, actor: str = AVA) -> DecisionResult:
    return decisions.decide(session, number, Said(Verdict.APPROVE, "", digest), actor=actor, now=at)


def _text(session: Session, made: Proposal, order: SalesOrder) -> None:
    made.commands = [{**made.commands[0], "changes": [{"line": order.lines[0].line, "quantity": "2"}]}]


def _added(session: Session, made: Proposal, order: SalesOrder) -> None:
    made.commands = [*made.commands, {"type": "expedite_order", "order": order.number, "needed_by": "2026-06-20"}]


def _amended(session: Session, made: Proposal, order: SalesOrder) -> None:
    made.amended = [reply()]


def _fact(session: Session, made: Proposal, order: SalesOrder) -> None:
    other = AmendOrder(
        order=order.number, changes=[LineChange(line=order.lines[0].line, quantity=order.lines[0].quantity_ordered - 1)]
    )
    execute(session, other, key="meanwhile", actor=IDA, now=TODAY)


def _policy(session: Session, made: Proposal, order: SalesOrder) -> None:
    command = ProposePolicy(
        numbers=NUMBERS.replace("duplicate_days = 14", "duplicate_days = 15"), authority=AUTHORITY, summary="a day more"
    )
    done = requests.act(session, command, key="pp", actor=CARA, now=TODAY)
    number = int(done.change.subject.split(":")[1])
    requests.act(session, BacktestPolicy(version=number), key="pb", actor=IDA, now=TODAY)
    requests.act(session, ActivatePolicy(version=number, reason="a day more"), key="pa", actor=IDA, now=TODAY)


@pytest.mark.parametrize("tamper", [_text, _added, _amended, _fact, _policy])
def test_what_changed_between_showing_and_signing_is_not_signed(api: Session, tamper: Tamper) -> None:
    order = free_order(api)
    number = file(order, [to_one(order)])
    digest = shown(api, number)
    tamper(api, api.get_one(Proposal, number), sales.order(api, order.number))
    api.flush()
    before = sales.snapshot(api, order.number)
    assert sign(api, number, digest).outcome == Outcome.STALE
    assert sales.snapshot(api, order.number) == before


@pytest.mark.parametrize(
    "forge", [lambda d: "0" * 64, lambda d: d[:-1] + ("0" if d[-1] != "0" else "1"), lambda d: d.upper(), lambda d: ""]
)
def test_another_digest_signs_nothing(api: Session, forge: Callable[[str], str]) -> None:
    order = free_order(api)
    number = file(order, [to_one(order)])
    assert sign(api, number, forge(shown(api, number))).outcome == Outcome.STALE


def test_the_digest_of_one_proposal_signs_no_other(api: Session) -> None:
    first, second = two(api)
    digests = [shown(api, n) for n in (first, second)]
    assert sign(api, first, digests[1]).outcome == Outcome.STALE


def two(session: Session) -> tuple[int, int]:
    """Two proposals on two orders."""
    one = free_order(session)
    first = file(one, [to_one(one)])
    query = (
        select(SalesOrder)
        .where(SalesOrder.status == "released", SalesOrder.number != one.number)
        .order_by(SalesOrder.number)
    )
    other = next(
        o
        for o in session.scalars(query)
        if not sales.active_holds(session, o.number) and o.lines[0].quantity_ordered > 2
    )
    return first, file(other, [to_one(other)])


def test_a_signature_is_used_once(api: Session) -> None:
    order = free_order(api)
    number = file(order, [to_one(order)])
    digest = shown(api, number)
    outcomes = [sign(api, number, digest).outcome for _ in range(3)]
    assert outcomes == [Outcome.EXECUTED, Outcome.REFUSED, Outcome.REFUSED]
    assert len(list(api.scalars(select(JournalEntry).where(JournalEntry.key.like(f"proposal:{number}:%"))))) == 1


def test_a_late_signature_is_refused(api: Session) -> None:
    order = free_order(api)
    number = file(order, [to_one(order)])
    assert sign(api, number, shown(api, number), TODAY + timedelta(days=30)).outcome == Outcome.REFUSED


def test_every_attempt_is_written_down_with_what_authority_rested_on(api: Session) -> None:
    order = free_order(api)
    number = file(order, [to_one(order)])
    sign(api, number, "nonsense")
    sign(api, number, shown(api, number))
    made = list(api.scalars(select(Decision).order_by(Decision.id)))
    assert [d.outcome for d in made] == ["stale", "executed"]
    assert made[1].detail["authority"]["ground"]["person"]["email"] == AVA
    tags = list(
        api.scalars(
            select(JournalEntry.tag).where(JournalEntry.subject == f"proposal:{number}").order_by(JournalEntry.id)
        )
    )
    assert tags[-2:] == ["case:proposal:stale", "case:proposal:executed"]


# --- several at once


def picked(session: Session, numbers: tuple[int, ...], *, opened: bool = True) -> list[tuple[int, str]]:
    digests = [(n, shown(session, n)) for n in numbers]
    for number, digest in digests:
        if opened:
            decisions.saw(session, desk.proposal(session, number).case_id, AVA, digest, TODAY)
    session.flush()
    return digests


def sign_all(session: Session, digests: list[tuple[int, str]], key: str = "b") -> list[Outcome]:
    done = batches.sign(session, digests, reason="as agreed", actor=AVA, now=TODAY, key=key)
    return [result.outcome for _, result in done]


def small(session: Session) -> None:
    """Let the orders of the sample count as small, whatever they are worth."""
    session.execute(text("UPDATE order_line SET unit_price = 0.01"))
    session.expire_all()


def test_proposals_that_are_alike_are_signed_together_each_by_its_own_digest(api: Session) -> None:
    small(api)
    digests = picked(api, two(api))
    assert sign_all(api, digests) == [Outcome.EXECUTED, Outcome.EXECUTED]
    signed = list(api.scalars(select(Decision.digest_shown).order_by(Decision.id)))
    assert signed == [digest for _, digest in digests]
    assert len(set(signed)) == 2


def test_one_that_is_stale_leaves_the_others_alone(api: Session) -> None:
    small(api)
    (first, digest), (second, _) = picked(api, two(api))
    decisions.saw(api, desk.proposal(api, second).case_id, AVA, "0" * 64, TODAY)  # as it was when it was opened
    api.flush()
    assert sign_all(api, [(first, digest), (second, "0" * 64)]) == [Outcome.EXECUTED, Outcome.STALE]


def test_nothing_is_signed_together_unless_the_sample_was_opened(api: Session) -> None:
    small(api)
    digests = picked(api, two(api), opened=False)
    with pytest.raises(RuleViolation, match="Open #"):
        sign_all(api, digests)
    assert api.scalars(select(Decision)).first() is None


def test_what_is_not_alike_or_large_is_not_signed_together(api: Session) -> None:
    first, _ = two(api)
    order = free_order(api)
    other = file(order, [to_one(order), reply()])
    with pytest.raises(RuleViolation) as told:
        sign_all(api, picked(api, (first, other)))
    assert "batch_mixed" in {p.code for p in told.value.problems}
    api.execute(text("UPDATE order_line SET unit_price = 5000"))
    api.expire_all()
    with pytest.raises(RuleViolation) as told:
        sign_all(api, picked(api, (first,)))
    assert {p.code for p in told.value.problems} == {"batch_large"}
