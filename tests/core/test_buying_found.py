"""Defects that were found on the buying side; each stays found."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select, text

from erp_core import policy
from erp_core.actions import calendar, execute, requests
from erp_core.actions import desk as decisions
from erp_core.actions.desk import Said
from erp_core.commands import (
    AmendPurchase,
    ApproveMatch,
    ApprovePurchase,
    ArrivedLine,
    BilledLine,
    BuyChange,
    BuyLine,
    CancelPurchase,
    CloseCase,
    DraftPurchase,
    ReceiveGoods,
    RecordBill,
    RejectBill,
    ReleasePayment,
    SaveItem,
    SaveSupplier,
    SetSource,
    SettleQuarantine,
    SetUnit,
    TransferStock,
    UpdateExpectedDate,
)
from erp_core.db import Session
from erp_core.errors import IllegalTransition
from erp_core.queries import purchasing
from erp_core.queries.subjects import subject_of
from erp_core.rules import desk as desk_rules
from erp_core.rules.desk import Person
from erp_core.tables.desk import Case
from erp_core.tables.parties import Customer, User
from erp_core.tables.purchasing import PurchaseOrder, Receipt
from erp_core.tables.stock import Quarantined
from erp_core.values import Outcome, QuarantineOutcome, Verdict
from tests.conftest import TODAY
from tests.core.buying import BOSS, BUYER, CLERK, DOCK, PAYER, Buying, codes
from tests.core.test_order_to_cash import on_the_shelf

POLICY = policy.shipped()


@pytest.fixture
def world(api: Session) -> Buying:
    return Buying(api)


def draft(world: Buying, *lines: BuyLine) -> str:
    order = DraftPurchase(supplier="S1", warehouse=world.warehouse, lines=list(lines), reason="low")
    world.by(BUYER, order)
    return world.last


def settle(world: Buying, outcome: QuarantineOutcome, reason: str | None = None) -> None:
    query = select(Quarantined).where(Quarantined.outcome.is_(None))
    one = world.session.scalars(query.where(Quarantined.reason == reason) if reason else query).one()
    world.by(BOSS, SettleQuarantine(quarantined=one.id, outcome=outcome, note="looked at"))


def test_nothing_is_paid_on_an_order_that_nobody_approved_or_that_was_cancelled(world: Buying) -> None:
    world.by(BOSS, SaveSupplier(supplier="S1", three_way=False))
    number = draft(world, BuyLine(sku="T-1", quantity=Decimal(10), unit_cost=Decimal(6)))
    assert world.billed(number, 10) == "blocked"
    assert codes(world, BOSS, ApproveMatch(supplier="S1", bill="B1", note="fine")) == ["not_acceptable"]
    world.by(PAYER, ApprovePurchase(purchase_order=number))
    world.by(BOSS, RejectBill(supplier="S1", bill="B1", note="too early"))
    assert world.billed(number, 10) == "matched"  # what was sent back may come again under its number
    world.by(BUYER, CancelPurchase(purchase_order=number, reason="not needed"))
    assert world.bill().status == "blocked"


def test_goods_that_go_back_are_not_paid_for(world: Buying) -> None:
    number = world.buy(100)
    world.arrive(number, 100, compliant=False)
    assert world.billed(number, 100) == "matched"
    settle(world, QuarantineOutcome.RETURNED)
    assert world.bill().status == "blocked"
    with pytest.raises(IllegalTransition):
        world.by(PAYER, ReleasePayment(supplier="S1", bill="B1"))


def test_tolerance_does_not_grow_with_every_receipt_nor_again_on_the_invoice(world: Buying) -> None:
    number = draft(world, *(BuyLine(sku=sku, quantity=Decimal(100), unit_cost=Decimal(6)) for sku in ("T-1", "T-2")))
    world.by(BOSS, ApprovePurchase(purchase_order=number))
    for n, quantity in enumerate((102, 2, 2)):
        world.arrive(number, quantity, f"R{n}")
    assert world.level() == (202, 0, 0)
    assert sum(world.session.scalars(select(Quarantined.quantity))) == 4
    assert world.billed(number, 104, "6") == "blocked"


def test_who_amends_an_approved_order_upwards_is_not_who_wrote_it_and_does_not_pay(world: Buying) -> None:
    number = world.buy(10)
    dearer = AmendPurchase(purchase_order=number, changes=[BuyChange(line=1, unit_cost=Decimal(60))], reason="dearer")
    assert codes(world, BUYER, dearer) == ["segregation_of_duties"]
    world.by(BOSS, dearer)
    world.arrive(number, 10)
    assert world.billed(number, 10, "60") == "matched"
    assert codes(world, BOSS, ReleasePayment(supplier="S1", bill="B1")) == ["segregation_of_duties"]
    world.by(PAYER, ReleasePayment(supplier="S1", bill="B1"))


def test_many_small_overcharges_are_one_large_one(world: Buying) -> None:
    number = world.buy(100)
    world.arrive(number, 100)
    lines = [BilledLine(sku="T-1", quantity=Decimal(1), unit_price=Decimal(7)) for _ in range(100)]
    assert world.billed(number, 100, lines=lines) == "blocked"
    assert set(world.differences()) == {"price"}


def test_charges_are_counted_over_all_invoices_of_an_order_and_a_huge_one_nobody_accepts(world: Buying) -> None:
    number = world.buy(100)
    world.arrive(number, 100)
    assert world.billed(number, 10, charges=Decimal(40)) == "matched"
    assert world.billed(number, 10, number="B2", charges=Decimal(40), invoiced_at=TODAY.date()) == "blocked"
    assert world.billed(number, 10, number="B3", charges=Decimal(10_000)) == "blocked"
    assert codes(world, BOSS, ApproveMatch(supplier="S1", bill="B3", note="fine")) == ["not_acceptable"]


def test_a_first_signers_hands_are_remembered(world: Buying) -> None:
    number = world.buy(100)
    world.arrive(number, 90, last=True)
    world.billed(number, 100)
    accept = ApproveMatch(supplier="S1", bill="B1", note="agreed")
    execute(world.session, accept, key="two", actor=BOSS, now=TODAY, facts={"signers": [PAYER, BOSS]})
    assert codes(world, PAYER, ReleasePayment(supplier="S1", bill="B1")) == ["segregation_of_duties"]


def test_who_wrote_an_order_does_not_approve_it_after_somebody_elses_amendment(world: Buying) -> None:
    number = draft(world, BuyLine(sku="T-1", quantity=Decimal(10)))
    change = BuyChange(line=1, quantity=Decimal(11))
    world.by(BOSS, AmendPurchase(purchase_order=number, changes=[change], reason="one more"))
    for actor in (BUYER, BOSS):
        assert codes(world, actor, ApprovePurchase(purchase_order=number)) == ["segregation_of_duties"]


def test_a_signature_of_who_may_not_is_refused_at_once_and_poisons_nothing(world: Buying) -> None:
    for email, roles in (
        (BUYER, ["purchasing_manager", "supervisor"]),
        (PAYER, ["purchasing_manager", "supervisor"]),
        (BOSS, ["credit_manager"]),
    ):
        world.session.execute(text("INSERT INTO app_user VALUES (:e, :e, :r, 900000)"), {"e": email, "r": roles})
    number = draft(world, BuyLine(sku="T-1", quantity=Decimal(10_000)))
    command = ApprovePurchase(purchase_order=number)
    made = requests.propose(world.session, [command], key="p", reason="please", actor=PAYER, now=TODAY)
    outcomes = []
    for actor in (BUYER, PAYER, BOSS):
        shown = decisions.preview(world.session, made, TODAY).digest
        said = Said(Verdict.APPROVE, "yes", shown)
        outcomes.append(decisions.decide(world.session, made.id, said, actor=actor, now=TODAY).outcome)
    assert outcomes == [Outcome.REFUSED, Outcome.SIGNED, Outcome.EXECUTED]


def test_what_does_not_comply_is_compliances_to_decide_also_when_it_was_not_ordered(world: Buying) -> None:
    world.arrive(world.buy(10), 5, sku="T-2", compliant=False)
    assert world.apart() == {"compliance": Decimal(5)}
    assert world.differences() == ["compliance", "unordered"]
    one = world.session.scalars(select(Quarantined)).one()
    command = SettleQuarantine(quarantined=one.id, outcome=QuarantineOutcome.RELEASED, note="we need it")
    buyer = Person(BUYER, ("buyer", "supervisor", "warehouse_lead"), Decimal(10**6))
    assert not desk_rules.authority(POLICY, buyer, subject_of(world.session, command)).allowed


def test_stock_for_ever_is_no_new_item(world: Buying) -> None:
    world.order(1)
    number = draft(world, BuyLine(sku="T-1", quantity=Decimal(900_000), unit_cost=Decimal("0.01")))
    buyer = Person(BUYER, ("purchasing_manager",), Decimal(10**6))
    asked = subject_of(world.session, ApprovePurchase(purchase_order=number))
    assert asked.lasts_days == 9998
    assert not desk_rules.authority(POLICY, buyer, asked).allowed


def test_a_proposal_may_hold_two_transfers(world: Buying) -> None:
    world.session.execute(text("INSERT INTO app_user VALUES (:e, :e, ARRAY['supply_planner'], 900000)"), {"e": BOSS})
    on_the_shelf(world.session, "T-NEAR", "T-1", 50)
    one = TransferStock(source="T-NEAR", target=world.warehouse, sku="T-1", quantity=Decimal(5), reason="move")
    made = requests.propose(world.session, [one, one], key="p", reason="please", actor=BOSS, now=TODAY)
    seen = decisions.preview(world.session, made, TODAY)
    assert seen.problems == []
    said = Said(Verdict.APPROVE, "yes", seen.digest)
    assert decisions.decide(world.session, made.id, said, actor=BOSS, now=TODAY).outcome == Outcome.EXECUTED


def test_two_lines_of_one_item_are_filled_and_billed_in_turn(world: Buying) -> None:
    lines = [BuyLine(sku="T-1", quantity=Decimal(n), unit_cost=Decimal(6)) for n in (60, 40)]
    number = draft(world, *lines)
    world.by(BOSS, ApprovePurchase(purchase_order=number))
    world.arrive(number, 100)
    assert (world.level(), world.apart(), world.bought(number)) == ((200, 0, 0), {}, "received")
    assert world.billed(number, 100) == "matched"
    assert world.bought(number) == "closed"


def test_goods_let_in_count_as_received_and_may_be_billed(world: Buying) -> None:
    number = world.buy(100)
    world.arrive(number, 150)
    settle(world, QuarantineOutcome.RELEASED, "over")
    assert world.level() == (250, 0, 0)
    assert world.billed(number, 150) == "matched"


def test_what_was_damaged_may_be_replaced(world: Buying) -> None:
    number = world.buy(100)
    world.arrive(number, 100, damaged=Decimal(20))
    assert world.bought(number) == "received"
    world.arrive(number, 20, "R2")
    assert (world.level(), world.apart()) == ((200, 0, 0), {"damaged": Decimal(20)})
    assert world.billed(number, 100) == "matched"


def test_nothing_is_bought_from_or_paid_to_a_blocked_supplier(world: Buying) -> None:
    number = draft(world, BuyLine(sku="T-1", quantity=Decimal(10), unit_cost=Decimal(6)))
    open_order = world.buy(10)
    world.arrive(open_order, 10)
    world.billed(open_order, 10)
    world.by("steward", SaveSupplier(supplier="S1", status="blocked"))
    assert codes(world, BOSS, ApprovePurchase(purchase_order=number)) == ["supplier_blocked"]
    assert codes(world, PAYER, ReleasePayment(supplier="S1", bill="B1")) == ["supplier_blocked"]


def test_a_price_between_firms_counts_as_what_the_transfer_moves(world: Buying) -> None:
    move = TransferStock(
        source="T-OTHER", target=world.warehouse, sku="T-1", quantity=Decimal(1), price=Decimal(90_000), reason="move"
    )
    assert subject_of(world.session, move).amount == Decimal(90_000)


def test_an_order_cut_to_what_came_is_done_and_one_of_which_nothing_came_can_be_cancelled(world: Buying) -> None:
    number = world.buy(100)
    world.arrive(number, 60)
    world.billed(number, 60)
    change = BuyChange(line=1, quantity=Decimal(60))
    world.by(BUYER, AmendPurchase(purchase_order=number, changes=[change], reason="less"))
    assert world.bought(number) == "closed"
    other = world.buy(10)
    world.arrive(other, 3, "R2", sku="T-2")
    world.by(BUYER, CancelPurchase(purchase_order=other, reason="wrong goods"))
    assert world.bought(other) == "cancelled"


def test_settling_one_of_two_leaves_the_other_open(world: Buying) -> None:
    number = world.buy(10)
    for n in (1, 2):
        world.arrive(number, 100, f"R{n}")
    first = world.session.scalars(select(Quarantined).order_by(Quarantined.id)).first()
    assert first is not None
    world.by(BOSS, SettleQuarantine(quarantined=first.id, outcome=QuarantineOutcome.SCRAPPED, note="useless"))
    assert world.differences() == ["over"]
    assert "supplier_discrepancy" in world.cases()


def test_a_number_that_nobody_knows_is_kept_and_told(world: Buying) -> None:
    world.arrive("PO-TYPO", 7)
    assert world.session.get_one(Receipt, "R1").order_named == "PO-TYPO"
    case = world.session.scalars(select(Case).where(Case.kind == "supplier_discrepancy")).one()
    assert "PO-TYPO is not known" in case.title
    world.billed("PO-TYPO", 7)
    mismatch = world.open_case("three_way_mismatch")
    assert mismatch is not None
    assert "It names PO-TYPO" in mismatch.title


def test_what_is_paid_is_judged_as_it_is_now(world: Buying) -> None:
    number = world.buy(100)
    world.arrive(number, 100)
    assert world.billed(number, 100) == "matched"
    world.session.get_one(PurchaseOrder, number).lines[0].unit_cost = Decimal(5)
    world.session.flush()
    assert codes(world, PAYER, ReleasePayment(supplier="S1", bill="B1")) == ["no_longer_matches"]


def test_thirds_of_a_unit_are_counted_exactly(world: Buying) -> None:
    world.run(SetUnit(sku="T-1", uom="TRI", numerator=1, denominator=3))
    line = ArrivedLine(sku="T-1", quantity=Decimal(3), uom="TRI")
    number = world.buy(1)
    world.by(
        DOCK,
        ReceiveGoods(receipt="R1", warehouse=world.warehouse, purchase_order=number, lines=[line], occurred_at=TODAY),
    )
    assert world.level() == (101, 0, 0)


def test_an_item_is_checked_once_somebody_says_so_and_the_dock_has_a_case_until_it_is(world: Buying) -> None:
    world.by(BOSS, SaveItem(sku="T-1", quality_check=True, lot_required=True))
    number = world.buy(10)
    world.arrive(number, 10, lot="L-7")
    assert world.apart() == {"quality_check": Decimal(10)}
    assert world.differences() == []
    case = world.open_case("quality_check")
    assert case is not None
    assert (case.queue, case.subject) == ("receiving", "R1")
    settle(world, QuarantineOutcome.RELEASED)
    assert world.open_case("quality_check") is None
    assert world.bought(number) == "received"


def test_what_we_cut_ourselves_is_no_claim_against_the_supplier(world: Buying) -> None:
    on_the_shelf(world.session, world.warehouse, "T-1", 0)
    number = world.buy(50)
    world.order(50)
    change = BuyChange(line=1, quantity=Decimal(10))
    world.by(BOSS, AmendPurchase(purchase_order=number, changes=[change], reason="too much"))
    assert {"supply_short", "supply_delay"} == world.cases().keys()


def test_a_blocked_invoice_keeps_its_case_and_who_has_it(world: Buying) -> None:
    number = world.buy(100)
    world.arrive(number, 40)
    assert world.billed(number, 100) == "blocked"
    case = world.open_case("three_way_mismatch")
    assert case is not None
    somebody = world.session.scalars(select(User.email)).first()
    case.assignee, before, version = somebody, case.title, world.bill().version
    change = BuyChange(line=1, quantity=Decimal(101))
    world.by(BOSS, AmendPurchase(purchase_order=number, changes=[change], reason="one more"))
    assert world.bill().version == version  # nothing of what differs has changed
    world.arrive(number, 10, "R2")
    assert world.bill().version == version + 1  # whoever signs for the old differences is told to look again
    after = world.open_case("three_way_mismatch")
    assert after is not None
    assert (after.id, after.assignee) == (case.id, somebody)
    assert after.title != before
    assert len(after.details["problems"]) == 1


def test_an_invoice_that_comes_after_the_trouble_is_over_is_not_part_of_it(world: Buying) -> None:
    number = world.buy(100)
    world.arrive(number, 90, last=True)
    for case in world.cases().values():
        world.by(BOSS, CloseCase(case=case.id, resolution="claimed", root_cause="supplier"))
    world.billed(number, 100)
    mismatch = world.open_case("three_way_mismatch")
    assert mismatch is not None
    assert mismatch.disruption_id is None


def test_customers_with_long_codes_have_cases_of_their_own(world: Buying) -> None:
    on_the_shelf(world.session, world.warehouse, "T-1", 0)
    known = world.session.get_one(Customer, "T1")
    columns = [c.key for c in Customer.__table__.columns if c.key not in ("code", "name_vector", "name")]
    long = "WESTERN-" + "X" * 50
    for end in ("-1", "-2"):
        more = {key: getattr(known, key) for key in columns}
        world.session.add(Customer(code=long + end, name=f"Western {end}", **more))
    world.session.flush()
    number = world.buy(50)
    for end in ("-1", "-2"):
        world.order(20, customer=long + end)
    late = TODAY.date() + timedelta(days=30)
    world.by(BUYER, UpdateExpectedDate(purchase_order=number, expected_date=late, reason="strike"))
    told = select(Case.customer).where(Case.kind == "supply_delay")
    assert set(world.session.scalars(told)) == {long + "-1", long + "-2"}


def test_a_supplier_is_not_punctual_because_it_said_that_it_would_be_late(world: Buying) -> None:
    number = world.buy(10, days=-3)
    later = TODAY.date() + timedelta(days=1)
    world.by(BUYER, UpdateExpectedDate(purchase_order=number, expected_date=later, reason="strike"))
    world.arrive(number, 10)
    [row] = purchasing.scorecard(world.session, TODAY.date(), "S1")
    assert row["on_time"] == 0


def test_what_we_recorded_late_is_not_the_suppliers_failure(world: Buying) -> None:
    on_the_shelf(world.session, world.warehouse, "T-1", 0)
    came = TODAY - timedelta(hours=POLICY.supply.log_hours + 20)
    for turn in range(POLICY.supply.failures):
        number = world.buy(20)
        line = ArrivedLine(sku="T-1", quantity=Decimal(20))
        order = {"warehouse": world.warehouse, "purchase_order": number, "lines": [line], "occurred_at": came}
        world.by(DOCK, ReceiveGoods(receipt=f"R{turn}", **order))
    assert world.open_case("supplier_non_compliance") is None
    [row] = purchasing.scorecard(world.session, TODAY.date(), "S1")
    assert row["discrepancy_rate"] == 0


def test_what_is_not_needed_any_more_is_not_asked_for(world: Buying) -> None:
    world.by(BOSS, SetSource(sku="T-1", supplier="S1", unit_cost=Decimal(6)))
    on_the_shelf(world.session, world.warehouse, "T-1", 0)
    world.order(50)
    ours = select(Case).where(Case.kind == "replenishment", Case.subject == f"S1@{world.warehouse}")
    for day in range(2):
        calendar.replenish(world.session, TODAY + timedelta(days=day))
        case = world.session.scalars(ours.execution_options(populate_existing=True)).one()
        assert case.status == "new"
        assert len(case.details["problems"]) == 1  # said once, as it is now
    world.buy(500)
    calendar.replenish(world.session, TODAY + timedelta(days=2))
    assert world.session.scalars(ours.execution_options(populate_existing=True)).one().status == "resolved"


def test_an_invoice_sent_back_keeps_its_number_beside_the_one_that_comes_again(world: Buying) -> None:
    number = world.buy(100)
    world.arrive(number, 100)
    world.billed(number, 120)
    world.by(BOSS, RejectBill(supplier="S1", bill="B1", note="wrong quantity"))
    assert world.bill().status == "rejected"
    assert world.billed(number, 100) == "matched"
    rows = world.session.execute(text("SELECT number, status FROM supplier_invoice ORDER BY id")).all()
    assert [tuple(r) for r in rows if r[0].startswith("B1")] == [("B1", "rejected"), ("B1", "matched")]
    again = {"invoiced_at": TODAY.date(), "currency": "USD"}
    line = BilledLine(sku="T-1", quantity=Decimal(100), unit_price=Decimal(6))
    twice = RecordBill(supplier="S1", number="B1", purchase_order=number, lines=[line], **again)
    assert codes(world, CLERK, twice) == ["bill_known"]
