"""A supplier ships 70 of 100: within one transaction everybody knows, the agent proposes what helps, and people sign it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select, text

from erp_core import db, policy
from erp_core.actions import calendar, execute
from erp_core.actions import desk as decisions
from erp_core.actions.desk import Said
from erp_core.commands import ArrivedLine, PlaceOrder, PromiseDate, ReceiveGoods, SetSource
from erp_core.db import Session
from erp_core.queries import desk, sales
from erp_core.tables.catalog import Substitute
from erp_core.tables.desk import Case, JournalEntry, OutboxMail, Proposal
from erp_core.tables.parties import Contact, Customer
from erp_core.tables.purchasing import Disruption, PurchaseOrder
from erp_core.tables.sales import SalesOrder
from erp_core.tables.stock import Transfer
from erp_core.values import Outcome, Verdict
from tests.conftest import TODAY
from tests.core.books import books_are_right
from tests.core.buying import Buying
from tests.core.test_order_to_cash import on_the_shelf

POLICY = policy.shipped()
PEOPLE = {
    "planner@northfieldsupply.example": ["supply_planner"],
    "boss2@northfieldsupply.example": ["supervisor"],
    "service@northfieldsupply.example": ["customer_service"],
    "gus2@northfieldsupply.example": ["buyer"],
    "pay2@northfieldsupply.example": ["accounts_payable"],
}
PLANNER, BOSS2, SERVICE, GUS2, PAY2 = PEOPLE


@pytest.fixture
def world(database: str) -> Buying:
    """Committed, because the agent looks at it with its own eyes: 100 wanted, none on the shelf, 100 ordered, 20 near by, 15 T-2 here."""
    with db.transaction(db.API) as session:
        made = Buying(session)
        for email, roles in PEOPLE.items():
            session.execute(
                text("INSERT INTO app_user VALUES (:e, :e, :r, 50000)"), {"e": email, "r": roles}
            )  # fmt: skip
        session.add(Substitute(sku="T-1", substitute_sku="T-2", priority=1, customer_approval_required=False))
        session.get_one(Customer, "T1").credit_limit = Decimal(10**6)
        for code, tier in (("T1", "A"), ("T5", "B")):
            if code == "T5":
                _second_customer(session)
            session.get_one(Customer, code).tier = tier
            session.add(Contact(customer=code, name=f"Kim {code}", email=f"kim@{code.lower()}.example", role="buyer"))
        on_the_shelf(session, made.warehouse, "T-1", 0)
        on_the_shelf(session, "T-NEAR", "T-1", 20)
        on_the_shelf(session, made.warehouse, "T-2", 15)
        made.number = made.buy(100, days=3)
        made.first = made.order(70)
        made.second = _order_of(made, "T5", 10)
        made.third = _order_of(made, "T5", 20)
        promised = TODAY.date().replace(day=19)
        for order in (made.second, made.third):
            made.by("service", PromiseDate(order=order, promised_date=promised))
        made.session.flush()
    return made


def _second_customer(session: Session) -> None:
    first = session.get_one(Customer, "T1")
    session.add(
        Customer(code="T5", entity=first.entity, name="Test Five", tier="B", payment_terms_days=30, credit_limit=Decimal(10**6),
                 currency="USD", country="US", status="active", ships_partial=True)
    )  # fmt: skip
    session.flush()


def _order_of(made: Buying, customer: str, quantity: int) -> str:
    made.turn += 1
    asked = PlaceOrder(
        customer=customer,
        warehouse=made.warehouse,
        customer_po=f"PO{made.turn}",
        lines=[{"sku": "T-1", "quantity": quantity}],  # type: ignore[list-item]
    )
    result = execute(made.session, asked, key=f"t:{made.turn}", actor="edi", now=TODAY)
    return result.change.subject.removeprefix("sales_order:")


def receive(world: Buying) -> None:
    line = ArrivedLine(sku="T-1", quantity=Decimal(70))
    command = ReceiveGoods(
        receipt="R-70",
        warehouse=world.warehouse,
        purchase_order=world.number,
        lines=[line],
        last=True,
        occurred_at=TODAY,
    )
    with db.transaction(db.API) as session:
        execute(session, command, key="r-70", actor="dock", now=TODAY)


def work(worker: Any, kind: str, customer: str | None = None) -> Proposal:
    """Let the agent work the open case of a kind that concerns S1; what it filed."""
    with db.reading(db.API) as session:
        query = select(Case.id).where(Case.kind == kind, Case.status == "new", Case.supplier == "S1")
        case = session.scalars(query.where(Case.customer == customer) if customer else query).one()
    state = worker.work(case)
    assert "error" not in state, state.get("error")
    with db.reading(db.API) as session:
        found = desk.pending(session, case)
        assert found is not None
        return found


def sign(proposal: Proposal, actor: str) -> decisions.DecisionResult:
    with db.transaction(db.API) as session:
        seen = decisions.preview(session, desk.proposal(session, proposal.id), TODAY)
        assert seen.problems == []
        return decisions.decide(
            session, proposal.id, Said(Verdict.APPROVE, "agreed", seen.digest), actor=actor, now=TODAY
        )


def test_a_short_delivery_reaches_everybody_and_what_helps_is_proposed_and_signed(world: Buying, worker: Any) -> None:
    receive(world)
    with db.reading(db.API) as session:  # one transaction later
        books_are_right(session)
        assert session.get_one(SalesOrder, world.first).status == "released"  # the A customer got all 70
        assert session.get_one(PurchaseOrder, world.number).status == "received"
        disruption = session.scalars(select(Disruption)).one()
        cases = list(session.scalars(select(Case).where(Case.disruption_id == disruption.id)))
        assert {c.queue for c in cases} == {"purchasing", "allocation", "customer_service", "accounts_payable"}
        assert all(c.due_at for c in cases)
        short = next(c for c in cases if c.kind == "supply_short")
        assert {row["order"] for row in short.details["orders"]} == {world.second, world.third}

    proposal = work(worker, "supply_short")
    assert [c["type"] for c in proposal.commands] == ["transfer_stock", "substitute_item"]
    assert (proposal.commands[0]["quantity"], proposal.commands[1]["order"]) in (
        ("20", world.second),
        ("20", world.third),
    )
    facts = " ".join(e["fact"] for e in proposal.evidence)
    assert "transfer 20 from T-NEAR: costs" in facts
    assert "T-2 instead: costs" in facts
    assert "T5" in proposal.rationale
    result = sign(proposal, PLANNER)
    assert result.outcome == Outcome.EXECUTED, result.text
    with db.reading(db.API) as session:
        books_are_right(session)
        assert session.scalars(select(Transfer)).one().quantity == 20
        order = sales.order(session, proposal.commands[1]["order"])
        assert (order.lines[0].sku, order.status) == ("T-2", "released")

    letter = work(worker, "supply_delay", "T5")
    assert letter.commands[0]["to"] == "kim@t5.example"
    assert sign(letter, SERVICE).outcome == Outcome.EXECUTED
    claim = work(worker, "supplier_discrepancy")
    assert claim.commands[0]["to"] == "sales@s1.example"
    assert "30 are missing" in claim.commands[0]["body"]
    assert sign(claim, GUS2).outcome == Outcome.EXECUTED
    with db.reading(db.API) as session:
        assert {m.to for m in session.scalars(select(OutboxMail))} >= {"kim@t5.example", "sales@s1.example"}

    with db.transaction(db.API) as session:  # the supplier bills all 100
        world.session, world.turn = session, 500
        assert world.billed(world.number, 100) == "blocked"
        mismatch = world.open_case("three_way_mismatch")
        assert mismatch is not None
        assert (mismatch.disruption_id, mismatch.details["receipts"][0][:4]) == (disruption.id, "R-70")
        assert not mismatch.details["approvable"]  # 43 percent more than came
    back = work(worker, "three_way_mismatch")
    assert back.commands[0]["type"] == "reject_bill"
    assert sign(back, PAY2).outcome == Outcome.EXECUTED
    context = work(worker, "match_context")
    assert context.commands[0]["type"] == "close_case"
    with db.transaction(db.API) as session:  # it comes again for what came
        world.session, world.turn = session, 550
        assert world.billed(world.number, 70) == "matched"
        due = TODAY + timedelta(days=POLICY.match.terms_days - POLICY.match.pay_days)
        assert calendar.put_up_payments(session, due - timedelta(days=1)) == 0
        assert calendar.put_up_payments(session, due) == 1
        assert calendar.put_up_payments(session, due) == 0
    payment = work(worker, "payment_due")
    assert payment.commands == [{"type": "release_payment", "supplier": "S1", "bill": "B1"}]
    assert sign(payment, BOSS2).outcome == Outcome.EXECUTED
    with db.reading(db.API) as session:
        world.session = session
        assert (world.bill().status, world.open_case("payment_due")) == ("paid", None)
    with db.reading(db.API) as session:
        tags = list(session.scalars(select(JournalEntry.tag).order_by(JournalEntry.id)))
        story = [
            "purchase:desk:approved", "order:date:promised", "disruption:supply:opened", "receipt:goods:recorded",
            "transfer:stock:ordered", "order:line:substituted", "message:outbox:queued", "bill:supplier:recorded", "bill:match:rejected",
        ]  # fmt: skip
        assert [tag for tag in dict.fromkeys(tags) if tag in story] == story


def test_what_runs_low_is_proposed_written_by_one_and_approved_and_sent_by_another(world: Buying, worker: Any) -> None:
    with db.transaction(db.API) as session:
        world.session, world.turn = session, 600
        world.by("steward", SetSource(sku="T-1", supplier="S1", unit_cost=Decimal("6"), pack_size=Decimal(10)))
        _order_of(world, "T5", 50)
        assert calendar.replenish(session, TODAY) >= 1
        assert calendar.replenish(session, TODAY) == 0  # once a day
    with db.reading(db.API) as session:
        query = select(Case.subject).where(Case.kind == "replenishment", Case.status == "new")
        subjects = [s for s in session.scalars(query) if s.startswith("S1@")]
    assert subjects == [f"S1@{world.warehouse}"]
    draft = work(worker, "replenishment")
    assert draft.commands[0]["type"] == "draft_purchase"
    assert "sells" in draft.evidence[-1]["fact"]
    assert sign(draft, GUS2).outcome == Outcome.EXECUTED
    approval = work(worker, "purchase_approval")
    assert [c["type"] for c in approval.commands] == ["approve_purchase", "send_purchase"]
    assert sign(approval, GUS2).outcome == Outcome.REFUSED  # who wrote it
    assert sign(approval, BOSS2).outcome == Outcome.EXECUTED
    with db.reading(db.API) as session:
        made = session.get_one(PurchaseOrder, approval.commands[0]["purchase_order"])
        assert (made.status, made.asked_by, made.approved_by) == ("sent", GUS2, BOSS2)
