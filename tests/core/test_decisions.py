"""Deciding: authority, expiry, staleness, digest, once only; whatever becomes of it is written down."""

from __future__ import annotations

import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, select

from erp_core import casework, db, policy
from erp_core.actions import desk as decisions
from erp_core.actions import execute, requests
from erp_core.actions.desk import Said
from erp_core.commands import (
    AmendOrder,
    CancelOrder,
    CloseCase,
    DismissCase,
    LineChange,
    NewLine,
    PlaceHold,
    PlaceOrder,
    ReleaseHold,
)
from erp_core.db import Session
from erp_core.errors import KeyReused, NotAuthorised, RuleViolation
from erp_core.queries import desk, sales
from erp_core.queries.subjects import versions
from erp_core.tables.desk import Case, Decision, JournalEntry, OutboxMail, Proposal
from erp_core.tables.sales import SalesOrder
from erp_core.tables.stock import Allocation, StockLevel
from erp_core.values import HoldReason, Outcome, Verdict
from tests.conftest import TODAY

AVA, IDA, BEN, LEE = (f"{n}@northfieldsupply.example" for n in ("ava.stone", "ida.marsh", "ben.ortiz", "lee.voss"))


def free_order(session: Session, status: str = "released") -> SalesOrder:
    query = select(SalesOrder).where(SalesOrder.status == status).order_by(SalesOrder.number)
    return next(
        o
        for o in session.scalars(query)
        if not sales.active_holds(session, o.number) and o.lines[0].quantity_ordered > 2
    )


def file(order: SalesOrder, commands: list[dict[str, Any]]) -> int:
    """A proposal as the agent files it, on a case of its own."""
    with db.transaction(db.AGENT) as session:
        key = f"<{order.number}-{len(commands)}-{order.version}@test>"
        told = {
            "source": None,
            "sender": "x@y.example",
            "sender_name": None,
            "subject": "s",
            "sent_at": None,
            "raw": b"From: x\n\nx",
        }
        recorded = casework.record_message(session, message_id=key, parsed={}, **told)  # type: ignore[arg-type]
        casework.claim_case(session, "w", 60, recorded.case)
        versions = {f"sales_order:{order.number}": order.version}
        filing = casework.Filing(
            "change_order", commands, "because", [{"n": 1, "source": "mail", "fact": "x"}], versions, {}, "good"
        )
        return casework.file_proposal(session, recorded.case, "w", "run", filing)


def to_one(order: SalesOrder) -> dict[str, Any]:
    return {"type": "amend_order", "order": order.number, "changes": [{"line": order.lines[0].line, "quantity": "1"}]}


def reply() -> dict[str, Any]:
    return {"type": "send_message", "to": "x@y.example", "subject": "Re: s", "body": "done"}


def approve(session: Session, proposal: int, actor: str = AVA, digest: str | None = None) -> decisions.DecisionResult:
    shown = digest or decisions.preview(session, desk.proposal(session, proposal), TODAY).digest
    return decisions.decide(session, proposal, Said(Verdict.APPROVE, "ok", shown), actor=actor, now=TODAY, key=digest)


def test_an_approval_changes_the_order_and_the_journal_names_who_what_and_why(api: Session) -> None:
    order = free_order(api)
    number = file(order, [to_one(order), reply()])
    result = approve(api, number)
    api.commit()
    assert result.outcome == Outcome.EXECUTED
    assert sales.order(api, order.number).lines[0].quantity_ordered == 1
    assert api.scalars(select(OutboxMail)).one().status == "waiting"
    entry = api.scalars(select(JournalEntry).where(JournalEntry.key == f"proposal:{number}:1")).one()
    assert entry.actor == AVA
    assert entry.at == TODAY
    assert entry.facts["policy"] == policy.shipped().hash
    assert entry.facts["versions"] == {f"sales_order:{order.number}": order.version - 1}
    assert entry.facts["digest"] == api.scalars(select(Decision)).one().digest_shown
    assert entry.before is not None
    assert entry.before != entry.after
    assert api.get_one(Case, entry.case_id).status == "resolved"


def test_a_preview_leaves_nothing_behind(api: Session) -> None:
    order = free_order(api)
    number = file(order, [to_one(order)])
    before = (order.version, api.scalar(select(func.count()).select_from(JournalEntry)))
    first = decisions.preview(api, desk.proposal(api, number), TODAY)
    second = decisions.preview(api, desk.proposal(api, number), TODAY + timedelta(hours=1))
    assert first.digest == second.digest
    again = sales.order(api, order.number)
    assert (again.version, api.scalar(select(func.count()).select_from(JournalEntry))) == before


def test_approving_twice_executes_once(api: Session) -> None:
    order = free_order(api)
    number = file(order, [to_one(order)])
    shown = decisions.preview(api, desk.proposal(api, number), TODAY).digest
    results = [approve(api, number, digest=shown) for _ in range(2)]
    assert [r.outcome for r in results] == [Outcome.EXECUTED, Outcome.EXECUTED]
    assert results[0].decision == results[1].decision
    entries = api.scalar(
        select(func.count()).select_from(JournalEntry).where(JournalEntry.tag == "order:sales:amended")
    )
    assert entries == 1


def test_two_clicks_at_the_same_moment_execute_once(api: Session) -> None:
    order = free_order(api)
    number = file(order, [to_one(order)])
    shown = decisions.preview(api, desk.proposal(api, number), TODAY).digest
    api.rollback()
    outcomes: list[Outcome] = []

    def click() -> None:
        with db.transaction(db.API) as session:
            outcomes.append(approve(session, number, digest=shown).outcome)

    threads = [threading.Thread(target=click) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [Outcome.EXECUTED] * 4
    assert (
        api.scalar(select(func.count()).select_from(JournalEntry).where(JournalEntry.tag == "order:sales:amended")) == 1
    )


def test_an_order_that_changed_makes_the_proposal_stale(api: Session) -> None:
    order = free_order(api)
    number = file(order, [to_one(order)])
    shown = decisions.preview(api, desk.proposal(api, number), TODAY).digest
    other = AmendOrder(order=order.number, requested_date=TODAY.date() + timedelta(days=9))
    execute(api, other, key="other:1", actor=IDA, now=TODAY)
    result = approve(api, number, digest=shown)
    assert result.outcome == Outcome.STALE
    assert order.number in result.text
    assert sales.order(api, order.number).lines[0].quantity_ordered != 1
    assert desk.proposal(api, number).status == "superseded"
    assert api.scalars(select(Decision)).one().outcome == "stale"
    assert not api.get_one(Case, desk.proposal(api, number).case_id).worked


def test_another_digest_than_the_one_shown_is_stale(api: Session) -> None:
    order = free_order(api)
    number = file(order, [to_one(order)])
    assert approve(api, number, digest="0" * 64).outcome == Outcome.STALE
    assert desk.proposal(api, number).status == "pending"


@pytest.mark.parametrize("actor", [BEN, LEE])
def test_without_authority_a_decision_is_refused_and_recorded(api: Session, actor: str) -> None:
    order = free_order(api)
    number = file(order, [to_one(order)])
    result = approve(api, number, actor)
    assert result.outcome == Outcome.REFUSED
    decision = api.scalars(select(Decision)).one()
    assert (decision.actor, decision.outcome) == (actor, "refused")
    assert api.scalars(select(JournalEntry).where(JournalEntry.tag == "case:proposal:refused")).one().actor == actor
    assert sales.order(api, order.number).version == order.version


def test_an_expired_proposal_is_not_executed(api: Session) -> None:
    order = free_order(api)
    number = file(order, [to_one(order)])
    shown = decisions.preview(api, desk.proposal(api, number), TODAY).digest
    late = desk.proposal(api, number).expires_at + timedelta(seconds=1)
    result = decisions.decide(api, number, Said(Verdict.APPROVE, "", shown), actor=AVA, now=late)
    assert (result.outcome, desk.proposal(api, number).status) == (Outcome.REFUSED, "expired")


def test_all_commands_run_or_none(api: Session) -> None:
    order = free_order(api)
    second = {
        "type": "substitute_item",
        "order": order.number,
        "line": order.lines[0].line,
        "substitute_sku": "NOT-0000",
    }
    number = file(order, [to_one(order), second])
    assert approve(api, number).outcome == Outcome.REFUSED
    assert sales.order(api, order.number).lines[0].quantity_ordered != 1


def test_above_the_limit_two_different_people_sign(api: Session) -> None:
    order = free_order(api)
    order.lines[0].unit_price = Decimal(60000)
    execute(api, PlaceHold(order=order.number, reason=HoldReason.MANUAL), key="hold:1", actor=IDA, now=TODAY)
    api.commit()
    number = file(sales.order(api, order.number), [{"type": "release_hold", "order": order.number, "reason": "manual"}])
    assert approve(api, number).outcome == Outcome.SIGNED
    assert approve(api, number).outcome == Outcome.REFUSED
    assert [h.reason for h in sales.active_holds(api, order.number)].count("manual") == 1


def test_a_reject_leaves_the_case_to_a_person(api: Session) -> None:
    order = free_order(api)
    number = file(order, [to_one(order)])
    result = decisions.decide(api, number, Said(Verdict.REJECT, "no"), actor=AVA, now=TODAY)
    case = api.get_one(Case, desk.proposal(api, number).case_id)
    assert (result.outcome, case.status, case.worked) == (Outcome.REJECTED, "investigating", True)


@pytest.mark.parametrize("verdict", [Verdict.REJECT, Verdict.AMEND, Verdict.INSTRUCT, Verdict.ESCALATE])
def test_who_decides_otherwise_than_was_proposed_says_why(api: Session, verdict: Verdict) -> None:
    number = file(free_order(api), [to_one(free_order(api))])
    with pytest.raises(RuleViolation, match="say why"):
        decisions.decide(api, number, Said(verdict, "  ", None, [to_one(free_order(api))]), actor=AVA, now=TODAY)
    assert desk.proposal(api, number).status == "pending"
    assert desk.last_decision(api, number) is None


def test_amended_commands_get_their_own_preview_and_keep_the_original(api: Session) -> None:
    order = free_order(api)
    number = file(order, [to_one(order)])
    before = decisions.preview(api, desk.proposal(api, number), TODAY).digest
    amended = {**to_one(order), "changes": [{"line": order.lines[0].line, "quantity": "2"}]}
    decisions.decide(api, number, Said(Verdict.AMEND, "two will do", None, [amended]), actor=AVA, now=TODAY)
    assert approve(api, number, digest=before).outcome == Outcome.STALE
    assert approve(api, number).outcome == Outcome.EXECUTED
    assert sales.order(api, order.number).lines[0].quantity_ordered == 2
    assert desk.proposal(api, number).commands[0]["changes"][0]["quantity"] == "1"


def test_the_same_key_with_another_input_is_refused(api: Session) -> None:
    order = free_order(api)
    first = CancelOrder(order=order.number)
    execute(api, first, key="k:1", actor=IDA, now=TODAY)
    assert execute(api, first, key="k:1", actor=IDA, now=TODAY).replayed
    with pytest.raises(KeyReused):
        execute(api, CancelOrder(order=order.number, reason="other"), key="k:1", actor=IDA, now=TODAY)


def test_a_direct_command_obeys_the_same_authority(api: Session) -> None:
    order = free_order(api)
    with pytest.raises(NotAuthorised):
        requests.act(api, CancelOrder(order=order.number), key="k:2", actor=BEN, now=TODAY)
    requests.act(api, CancelOrder(order=order.number), key="k:2", actor=AVA, now=TODAY)
    assert sales.order(api, order.number).status == "cancelled"


def test_what_has_shipped_changes_no_more(api: Session) -> None:
    shipped = api.scalars(select(SalesOrder).where(SalesOrder.status == "shipped")).first()
    assert shipped is not None
    with pytest.raises(RuleViolation, match="comes back as a return"):
        execute(api, CancelOrder(order=shipped.number), key="k:3", actor=IDA, now=TODAY)


def test_a_cancelled_order_gives_its_stock_back(api: Session) -> None:
    order = free_order(api)
    line = order.lines[0]
    level = api.get_one(StockLevel, (order.warehouse, line.sku))
    before, bound = level.quantity_allocated, line.quantity_allocated
    execute(api, CancelOrder(order=order.number), key="k:4", actor=IDA, now=TODAY)
    assert (
        api.get_one(StockLevel, (order.warehouse, line.sku), populate_existing=True).quantity_allocated
        == before - bound
    )


def test_a_released_hold_comes_back_when_its_facts_change(api: Session) -> None:
    place = PlaceOrder(
        customer="C1001", lines=[NewLine(sku="ELC-8109", quantity=Decimal(1), unit_price=Decimal("900.00"))]
    )
    number = execute(api, place, key="k:5", actor=IDA, now=TODAY).change.subject.split(":")[1]
    assert "price" in [h.reason for h in sales.active_holds(api, number)]
    release = ReleaseHold(order=number, line=1, reason=HoldReason.PRICE)
    execute(api, release, key="k:6", actor=IDA, now=TODAY)
    assert "price" not in [h.reason for h in sales.active_holds(api, number)]
    sales.order(api, number).lines[0].unit_price = Decimal("950.00")
    execute(
        api,
        AmendOrder(order=number, changes=[LineChange(line=1, quantity=Decimal(2))]),
        key="k:7",
        actor=IDA,
        now=TODAY,
    )
    assert "price" in [h.reason for h in sales.active_holds(api, number)]


def test_a_blocked_customer_gets_no_release_by_any_amendment(api: Session) -> None:
    place = PlaceOrder(customer="C1008", lines=[NewLine(sku="ELC-8109", quantity=Decimal(1))])
    number = execute(api, place, key="k:8", actor=IDA, now=TODAY).change.subject.split(":")[1]
    execute(
        api,
        AmendOrder(order=number, changes=[LineChange(line=1, quantity=Decimal(2))]),
        key="k:9",
        actor=IDA,
        now=TODAY,
    )
    assert sales.order(api, number).status != "released"
    with pytest.raises(RuleViolation):
        execute(api, PlaceHold(order=number, reason=HoldReason.CREDIT), key="k:10", actor=IDA, now=TODAY)


def test_orders_racing_for_the_same_stock_never_oversell(api: Session) -> None:
    level = api.scalars(
        select(StockLevel).where(StockLevel.quantity_on_hand - StockLevel.quantity_allocated >= 10)
    ).first()
    assert level is not None
    sku, warehouse = level.sku, level.warehouse
    api.rollback()

    def order(n: int) -> None:
        with db.transaction(db.API) as session:
            command = PlaceOrder(
                customer=f"C10{n + 10}", warehouse=warehouse, lines=[NewLine(sku=sku, quantity=Decimal(4000), uom=uom)]
            )
            execute(session, command, key=f"race:{n}", actor=IDA, now=TODAY)

    from erp_core.tables.catalog import Item

    uom = api.get_one(Item, sku).uom
    api.rollback()
    threads = [threading.Thread(target=order, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = api.get_one(StockLevel, (warehouse, sku), populate_existing=True)
    bound = api.scalar(
        select(func.sum(Allocation.quantity)).where(
            Allocation.sku == sku, Allocation.warehouse == warehouse, Allocation.status == "reserved"
        )
    )
    assert after.quantity_allocated <= after.quantity_on_hand
    assert after.quantity_allocated == bound
    assert api.scalar(select(func.count()).select_from(Proposal)) == 0


def test_removing_and_adding_a_line_does_not_lift_its_hold(api: Session) -> None:
    place = PlaceOrder(
        customer="C1001", lines=[NewLine(sku="ELC-8109", quantity=Decimal(1), unit_price=Decimal("900.00"))]
    )
    number = execute(api, place, key="k:11", actor=IDA, now=TODAY).change.subject.split(":")[1]
    swap = [LineChange(line=1, quantity=Decimal(0)), LineChange(sku="ELC-8109", quantity=Decimal(1))]
    execute(api, AmendOrder(order=number, changes=swap), key="k:12", actor=AVA, now=TODAY)
    sales.order(api, number).lines[0].unit_price = Decimal("900.00")
    execute(api, AmendOrder(order=number, requested_date=TODAY.date()), key="k:13", actor=AVA, now=TODAY)
    assert "price" in [h.reason for h in sales.active_holds(api, number)]


def test_an_order_cannot_be_grown_past_the_limit_by_an_amendment(api: Session) -> None:
    order = free_order(api)
    grown = AmendOrder(order=order.number, changes=[LineChange(line=order.lines[0].line, quantity=Decimal(999999))])
    with pytest.raises(NotAuthorised):
        requests.act(api, grown, key="k:14", actor=IDA, now=TODAY)
    api.rollback()
    number = file(sales.order(api, order.number), [grown.model_dump(mode="json", exclude_none=True)])
    assert approve(api, number, IDA).outcome == Outcome.REFUSED
    assert approve(api, number, AVA).outcome == Outcome.SIGNED  # four eyes: she alone is not enough


def test_commands_that_are_none_can_be_rejected_but_not_signed(api: Session) -> None:
    order = free_order(api)
    number = file(order, [{"type": "sql", "text": "DROP TABLE hold"}])
    assert decisions.preview(api, desk.proposal(api, number), TODAY).problems[0].code == "commands_unreadable"
    assert (
        decisions.decide(api, number, Said(Verdict.APPROVE, "", "x"), actor=AVA, now=TODAY).outcome == Outcome.REFUSED
    )
    assert (
        decisions.decide(api, number, Said(Verdict.REJECT, "nonsense"), actor=AVA, now=TODAY).outcome
        == Outcome.REJECTED
    )


def test_nothing_of_a_closed_case_runs(api: Session) -> None:
    order = free_order(api)
    number = file(order, [to_one(order)])
    shown = decisions.preview(api, desk.proposal(api, number), TODAY).digest
    case = desk.proposal(api, number).case_id
    execute(api, CloseCase(case=case, resolution="done by phone", root_cause="none"), key="k:15", actor=AVA, now=TODAY)
    assert approve(api, number, digest=shown).outcome == Outcome.REFUSED


@pytest.mark.parametrize("verdict", [Verdict.INSTRUCT, Verdict.ESCALATE, Verdict.SNOOZE, Verdict.REJECT])
def test_a_proposal_left_on_a_closed_case_decides_nothing(api: Session, verdict: Verdict) -> None:
    order = free_order(api)
    number = file(order, [to_one(order)])
    case = api.get_one(Case, desk.proposal(api, number).case_id)
    case.status = "resolved"
    api.flush()
    assert decisions.decide(api, number, Said(verdict, "x"), actor=AVA, now=TODAY).outcome == Outcome.REFUSED
    assert api.get_one(Case, case.id).status == "resolved"


def test_what_needs_nobody_is_dismissed_and_its_proposal_withdrawn(api: Session) -> None:
    order = free_order(api)
    number = file(order, [to_one(order)])
    case = desk.proposal(api, number).case_id
    ended = DismissCase(case=case, reason="an advertisement")
    with pytest.raises(NotAuthorised):
        requests.act(api, ended, key="d:0", actor=LEE, now=TODAY)
    requests.act(api, ended, key="d:1", actor=AVA, now=TODAY)
    found = api.get_one(Case, case)
    assert (found.status, found.root_cause, found.details["resolution"]) == ("dismissed", "none", "an advertisement")
    assert desk.proposal(api, number).status == "superseded"
    tags = api.scalars(select(JournalEntry.tag).where(JournalEntry.case_id == case)).all()
    assert {"case:desk:dismissed", "proposal:desk:superseded"} <= set(tags)
    assert sales.order(api, order.number).version == order.version
    assert approve(api, number).outcome == Outcome.REFUSED


@pytest.mark.parametrize(
    "ending",
    [
        lambda case: CloseCase(case=case, resolution="done", root_cause="none"),
        lambda case: DismissCase(case=case, reason="seen"),
    ],
)
def test_a_case_of_a_hold_ends_with_the_hold_and_not_before(api: Session, ending: Any) -> None:
    """N09: every order that is stopped stands in somebody's queue."""
    order = free_order(api)
    execute(api, PlaceHold(order=order.number, reason=HoldReason.MANUAL, note="x"), key="h:1", actor=IDA, now=TODAY)
    query = select(Case).where(Case.kind == "hold_manual", Case.subject == order.number)
    case = api.scalars(query).one()
    with pytest.raises(RuleViolation, match="still held"):
        requests.act(api, ending(case.id), key="h:2", actor=IDA, now=TODAY)
    assert api.scalars(query).one().status not in ("resolved", "dismissed")
    execute(api, ReleaseHold(order=order.number, reason=HoldReason.MANUAL, note="ok"), key="h:3", actor=IDA, now=TODAY)
    assert api.scalars(query).one().status == "resolved"


def test_a_hold_that_still_stands_keeps_its_case_whatever_was_signed(api: Session) -> None:
    order = free_order(api)
    execute(api, PlaceHold(order=order.number, reason=HoldReason.MANUAL, note="x"), key="h:4", actor=IDA, now=TODAY)
    case = api.scalars(select(Case).where(Case.kind == "hold_manual", Case.subject == order.number)).one()
    changed = AmendOrder.model_validate(to_one(order))
    made = Proposal(
        case_id=case.id, action="change_order", commands=[changed.model_dump(mode="json")], rationale="r", evidence=[], versions=versions(api, [changed]),
        policy={}, confidence="strong", digest="d", status="pending", filed_by="agent", filed_at=TODAY, expires_at=TODAY + timedelta(days=1),
    )  # fmt: skip
    api.add(made)
    api.flush()
    assert approve(api, made.id).outcome == Outcome.EXECUTED
    api.refresh(case)
    assert case.status not in ("resolved", "dismissed")
    assert [h.reason for h in sales.active_holds(api, order.number)] == ["manual"]
