"""Buying: orders by two people, receipts with their named outcomes, invoices that match or wait, transfers with both books right."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, select

from erp_core import policy
from erp_core.actions import execute
from erp_core.commands import (
    AcknowledgePurchase,
    AdjustStock,
    AmendPurchase,
    ApproveMatch,
    ApprovePurchase,
    ArrivedLine,
    BuyChange,
    BuyLine,
    CancelPurchase,
    CancelTransfer,
    CloseCase,
    DraftPurchase,
    PutAway,
    ReceiveGoods,
    ReceiveTransfer,
    RecordBill,
    RejectBill,
    ReleasePayment,
    SaveSupplier,
    SendPurchase,
    SetSource,
    SettleQuarantine,
    SetTolerance,
    ShipTransfer,
    TransferStock,
    UpdateExpectedDate,
)
from erp_core.db import Session
from erp_core.errors import IllegalTransition, RuleViolation
from erp_core.queries import catalog, purchasing, supply
from erp_core.tables.catalog import Item
from erp_core.tables.desk import Case, OutboxMail
from erp_core.tables.parties import Supplier
from erp_core.tables.purchasing import Disruption, Receipt
from erp_core.tables.stock import Quarantined, StockLevel, Transfer
from erp_core.values import QuarantineOutcome
from tests.conftest import TODAY
from tests.core.buying import BOSS, BUYER, CLERK, DOCK, PAYER, Buying, codes
from tests.core.test_order_to_cash import on_the_shelf

POLICY = policy.shipped()


@pytest.fixture
def world(api: Session) -> Buying:
    return Buying(api)


def test_a_purchase_order_goes_its_way_and_its_goods_count_as_coming_once_approved(world: Buying) -> None:
    line = BuyLine(sku="T-1", quantity=Decimal(40))
    world.by(BUYER, DraftPurchase(supplier="S1", warehouse=world.warehouse, lines=[line], reason="low"))
    number, place = world.last, ("T-1", world.warehouse)
    assert place not in supply.inbound(world.session, ["T-1"])
    world.by(BOSS, ApprovePurchase(purchase_order=number))
    assert [i.quantity for i in supply.inbound(world.session, ["T-1"])[place]] == [40]
    world.by(BUYER, SendPurchase(purchase_order=number))
    mail = world.session.scalars(select(OutboxMail).where(OutboxMail.to == "sales@s1.example")).one()
    assert number in mail.subject
    assert "40" in mail.body
    world.by(BUYER, AcknowledgePurchase(purchase_order=number, expected_date=TODAY.date() + timedelta(days=8)))
    assert world.bought(number) == "acknowledged"
    world.arrive(number, 40)
    assert (world.bought(number), world.level()) == ("received", (140, 0, 0))
    assert place not in supply.inbound(world.session, ["T-1"])
    assert world.billed(number, 40) == "matched"
    assert world.bought(number) == "closed"
    with pytest.raises(IllegalTransition):
        world.by(BUYER, SendPurchase(purchase_order=number))


def test_a_part_of_what_was_ordered_goes_to_who_waits_at_once(world: Buying) -> None:
    on_the_shelf(world.session, world.warehouse, "T-1", 0)
    first, second = world.order(30), world.order(30)
    number = world.buy(60)
    world.arrive(number, 45)
    assert (world.bought(number), world.level()) == ("receiving", (45, 45, 0))
    assert (world.status(first), world.status(second)) == ("released", "released")
    assert world.differences() == []
    world.arrive(number, 15, "R2")
    assert (world.bought(number), world.level()) == ("received", (60, 60, 0))


# what can go wrong at the dock, each with its named outcome: nothing is lost


def test_the_same_receipt_again_is_refused_and_more_than_ordered_is_set_apart(world: Buying) -> None:
    number = world.buy(50)
    world.arrive(number, 50)
    line = ArrivedLine(sku="T-1", quantity=Decimal(1))
    again = ReceiveGoods(receipt="R1", warehouse=world.warehouse, lines=[line], occurred_at=TODAY)
    assert codes(world, DOCK, again) == ["receipt_exists"]
    world.arrive(number, 50, "R2")
    assert world.apart() == {"over": Decimal(49)}  # one is within tolerance
    assert world.level() == (151, 0, 0)
    assert world.differences() == ["over"]


def test_what_is_within_tolerance_is_taken_in_and_what_is_beyond_waits_for_somebodys_word(world: Buying) -> None:
    number = world.buy(100)
    world.arrive(number, 110)
    assert world.level() == (202, 0, 0)  # policy takes 2 percent more
    assert world.apart() == {"over": Decimal(8)}
    assert {"supplier_discrepancy", "match_context"} <= world.cases().keys()
    waiting = world.session.scalars(select(Quarantined)).one()
    world.by(BOSS, SettleQuarantine(quarantined=waiting.id, outcome=QuarantineOutcome.RELEASED, note="we need them"))
    assert world.level() == (210, 0, 0)
    assert (world.differences(), world.cases()) == ([], {})
    with pytest.raises(IllegalTransition):
        world.by(BOSS, SettleQuarantine(quarantined=waiting.id, outcome=QuarantineOutcome.SCRAPPED, note="again"))


def test_the_narrowest_tolerance_counts(world: Buying) -> None:
    world.by(BOSS, SetTolerance(scope="supplier", key="S1", over_percent=Decimal(50)))
    world.arrive(world.buy(100), 140)
    assert world.apart() == {}
    world.by(BOSS, SetTolerance(scope="item", key="T-1", over_percent=Decimal(0)))
    world.arrive(world.buy(100), 101, "R2")
    assert world.apart() == {"over": Decimal(1)}


def test_an_unordered_item_and_goods_without_an_order_are_there_but_apart(world: Buying) -> None:
    number = world.buy(10)
    world.arrive(number, 5, sku="T-2")
    world.arrive("PO-NOBODY-KNOWS", 7, "R2")
    apart = world.session.execute(
        select(Quarantined.sku, Quarantined.quantity, Quarantined.reason).order_by(Quarantined.id)
    )
    assert apart.all() == [("T-2", Decimal(5), "unordered"), ("T-1", Decimal(7), "unordered")]
    assert world.level() == (100, 0, 0)
    assert world.bought(number) == "approved"  # nothing of it came


def test_goods_for_an_order_that_ended_are_set_apart(world: Buying) -> None:
    number = world.buy(10)
    world.by(BUYER, CancelPurchase(purchase_order=number, reason="not needed"))
    assert world.bought(number) == "cancelled"
    world.arrive(number, 10)
    assert world.apart() == {"unordered": Decimal(10)}
    assert world.level() == (100, 0, 0)


def test_a_unit_that_the_item_has_not_and_an_order_of_another_firm_are_refused(world: Buying) -> None:
    number = world.buy(10)
    line = ArrivedLine(sku="T-1", quantity=Decimal(1), uom="RL")
    command = ReceiveGoods(
        receipt="R1", warehouse=world.warehouse, purchase_order=number, lines=[line], occurred_at=TODAY
    )
    assert codes(world, DOCK, command) == ["unit_unknown"]
    good = command.model_copy(update={"lines": [ArrivedLine(sku="T-1", quantity=Decimal(1))]})
    assert codes(world, DOCK, good.model_copy(update={"warehouse": "T-OTHER"})) == ["other_entity"]
    assert codes(world, DOCK, good.model_copy(update={"warehouse": "T-NEAR"})) == ["wrong_warehouse"]


def test_a_case_of_an_item_is_counted_in_pieces(world: Buying) -> None:
    world.arrive(world.buy(24), 2, uom="CS")
    assert world.level() == (124, 0, 0)


def test_damaged_goods_and_goods_to_be_checked_are_not_sold(world: Buying) -> None:
    world.session.get_one(Item, "T-1").quality_check = True
    number = world.buy(50)
    world.arrive(number, 50, damaged=Decimal(8), last=True)
    assert world.level() == (100, 0, 0)
    assert world.apart() == {"damaged": Decimal(8), "quality_check": Decimal(42)}
    assert world.differences() == ["damaged"]
    checked = world.session.scalars(select(Quarantined).where(Quarantined.reason == "quality_check")).one()
    release = SettleQuarantine(quarantined=checked.id, outcome=QuarantineOutcome.RELEASED, note="passed")
    assert codes(world, DOCK, release) == ["segregation_of_duties"]
    world.by(BOSS, release)
    assert world.level() == (142, 0, 0)


def test_an_item_that_needs_a_lot_waits_without_one_and_what_does_not_comply_waits_too(world: Buying) -> None:
    world.session.get_one(Item, "T-1").lot_required = True
    number = world.buy(50)
    world.arrive(number, 20)
    world.arrive(number, 20, "R2", lot="L7")
    world.arrive(number, 10, "R3", lot="L8", compliant=False)
    assert world.level() == (120, 0, 0)
    assert world.apart() == {"lot_missing": Decimal(20), "compliance": Decimal(10)}
    assert world.differences() == ["compliance", "compliance"]


def test_goods_recorded_long_after_they_came_are_a_case(world: Buying) -> None:
    line = ArrivedLine(sku="T-1", quantity=Decimal(5))
    came = TODAY - timedelta(hours=POLICY.supply.log_hours + 20)
    number = world.buy(5)
    world.by(
        DOCK,
        ReceiveGoods(
            receipt="R1", warehouse=world.warehouse, purchase_order=number, lines=[line], occurred_at=came
        ),
    )  # fmt: skip
    case = world.open_case("late_logging")
    assert case is not None
    assert "24 hours later" in case.title
    world.by(DOCK, PutAway(receipt="R1", occurred_at=TODAY))
    assert world.session.get_one(Receipt, "R1").put_away_at == TODAY


# who did one thing does not do the other


def test_nobody_approves_what_they_wrote_or_a_supplier_they_changed(world: Buying) -> None:
    line = BuyLine(sku="T-1", quantity=Decimal(10))
    world.by(BUYER, DraftPurchase(supplier="S1", warehouse=world.warehouse, lines=[line], reason="low"))
    number = world.last
    assert codes(world, BUYER, ApprovePurchase(purchase_order=number)) == ["segregation_of_duties"]
    world.by(BOSS, SaveSupplier(supplier="S1", email="new@s1.example"))
    assert codes(world, BOSS, ApprovePurchase(purchase_order=number)) == ["segregation_of_duties"]
    world.by(
        BUYER, AmendPurchase(purchase_order=number, changes=[BuyChange(line=1, quantity=Decimal(99))], reason="more")
    )
    world.by(PAYER, ApprovePurchase(purchase_order=number))
    assert world.bought(number) == "approved"


def test_a_first_signature_counts_as_a_hand_too(world: Buying) -> None:
    line = BuyLine(sku="T-1", quantity=Decimal(10))
    world.by(BUYER, DraftPurchase(supplier="S1", warehouse=world.warehouse, lines=[line], reason="low"))
    command = ApprovePurchase(purchase_order=world.last)
    with pytest.raises(RuleViolation, match="wrote"):
        execute(world.session, command, key="x", actor=BOSS, now=TODAY, facts={"signers": [BUYER, BOSS]})


def test_who_received_neither_accepts_the_match_nor_corrects_the_stock_and_who_accepted_does_not_pay(
    world: Buying,
) -> None:
    number = world.buy(100)
    world.arrive(number, 90, last=True)
    assert world.billed(number, 100) == "blocked"
    accept = ApproveMatch(supplier="S1", bill="B1", note="agreed with the supplier")
    assert codes(world, DOCK, accept) == ["segregation_of_duties"]
    assert codes(world, CLERK, accept) == ["segregation_of_duties"]
    adjust = AdjustStock(warehouse=world.warehouse, sku="T-1", on_hand=Decimal(5), reason="counted")
    assert codes(world, DOCK, adjust) == ["segregation_of_duties"]
    world.by(BOSS, accept)
    assert codes(world, BOSS, ReleasePayment(supplier="S1", bill="B1")) == ["segregation_of_duties"]
    world.by(PAYER, ReleasePayment(supplier="S1", bill="B1"))
    assert world.bill().status == "paid"


# invoices


@pytest.mark.parametrize(
    ("quantity", "price", "more", "kinds"),
    [
        (100, "6", {}, []),
        (100, "6.05", {}, []),  # within one percent
        (100, "6.50", {}, ["price"]),
        (100, "5", {}, []),  # cheaper is no reason to wait
        (120, "6", {}, ["quantity"]),
        (100, "6", {"charges": Decimal(80)}, ["charges"]),
        (100, "6", {"tax": Decimal(60)}, ["tax"]),
        (100, "6", {"currency": "EUR"}, ["currency"]),
        (100, "6", {"invoiced_at": TODAY.date() - timedelta(days=3)}, ["date"]),
        (120, "7", {"charges": Decimal(80)}, ["price", "quantity", "charges"]),
    ],
)
def test_an_invoice_is_blocked_for_exactly_what_differs(
    world: Buying, quantity: int, price: str, more: dict[str, Any], kinds: list[str]
) -> None:
    number = world.buy(100)
    world.arrive(number, 100)
    assert world.billed(number, quantity, price, **more) == ("blocked" if kinds else "matched")
    assert world.differences() == kinds
    assert (world.open_case("three_way_mismatch") is not None) == bool(kinds)


def test_an_invoice_before_its_goods_is_blocked_until_they_come(world: Buying) -> None:
    number = world.buy(100)
    assert world.billed(number, 100) == "blocked"
    world.arrive(number, 60)
    assert world.bill().status == "blocked"
    world.arrive(number, 40, "R2")
    assert world.bill().status == "matched"
    assert world.open_case("three_way_mismatch") is None
    assert world.differences() == []


def test_a_supplier_matched_two_ways_is_not_asked_for_receipts(world: Buying) -> None:
    world.by(BOSS, SaveSupplier(supplier="S1", three_way=False))
    line = BuyLine(sku="T-1", quantity=Decimal(10), unit_cost=Decimal(6))
    world.by(BUYER, DraftPurchase(supplier="S1", warehouse=world.warehouse, lines=[line], reason="low"))
    number = world.last
    world.by(PAYER, ApprovePurchase(purchase_order=number))
    assert world.billed(number, 10) == "matched"
    assert world.billed(number, 10, number="B2") == "blocked"


def test_the_same_invoice_twice_is_refused_and_one_that_looks_the_same_nobody_may_accept(world: Buying) -> None:
    number = world.buy(100)
    world.arrive(number, 100)
    assert world.billed(number, 50) == "matched"
    line: Any = {"lines": [{"sku": "T-1", "quantity": "50", "unit_price": "6"}], "currency": "USD"}
    again = RecordBill(supplier="S1", number="B1", purchase_order=number, invoiced_at=TODAY.date(), **line)
    assert codes(world, CLERK, again) == ["bill_known"]
    assert world.billed(number, 50, number="B2") == "blocked"
    assert world.differences() == ["duplicate"]
    assert codes(world, BOSS, ApproveMatch(supplier="S1", bill="B2", note="fine")) == ["not_acceptable"]
    world.by(BOSS, RejectBill(supplier="S1", bill="B2", note="sent twice"))
    assert world.bill("B2").status == "rejected"


def test_what_is_much_too_dear_needs_a_changed_order_and_matches_then_by_itself(world: Buying) -> None:
    number = world.buy(100)
    world.arrive(number, 100)
    assert world.billed(number, 100, "9") == "blocked"
    assert codes(world, BOSS, ApproveMatch(supplier="S1", bill="B1", note="fine")) == ["not_acceptable"]
    with pytest.raises(IllegalTransition), world.session.begin_nested():
        world.by(PAYER, ReleasePayment(supplier="S1", bill="B1"))
    change = BuyChange(line=1, unit_cost=Decimal(9))
    assert codes(world, BUYER, AmendPurchase(purchase_order=number, changes=[change], reason="agreed")) == [
        "segregation_of_duties"
    ]
    world.by(BOSS, AmendPurchase(purchase_order=number, changes=[change], reason="agreed by phone"))
    assert world.bill().status == "matched"
    world.by(PAYER, ReleasePayment(supplier="S1", bill="B1"))
    assert world.bill().status == "paid"


def test_an_acceptance_is_void_when_other_goods_come(world: Buying) -> None:
    number = world.buy(100)
    world.arrive(number, 90)
    assert world.billed(number, 100) == "blocked"
    world.by(BOSS, ApproveMatch(supplier="S1", bill="B1", note="the rest is on its way"))
    assert world.bill().status == "approved"
    world.arrive(number, 5, "R2")
    assert world.bill().status == "blocked"
    assert world.bill().approved_by is None
    world.arrive(number, 5, "R3")
    assert world.bill().status == "matched"


def test_an_invoice_without_an_order_is_kept_and_cannot_be_accepted(world: Buying) -> None:
    assert world.billed("PO-NOBODY-KNOWS", 10) == "blocked"
    assert "unordered" in world.differences()
    with pytest.raises(RuleViolation, match="Nobody may accept this"):
        world.by(BOSS, ApproveMatch(supplier="S1", bill="B1", note="fine"))
    assert world.bill().status == "blocked"


# other days and quantities


def test_a_later_day_reaches_who_is_hurt_by_it_and_nobody_else(world: Buying) -> None:
    on_the_shelf(world.session, world.warehouse, "T-1", 0)
    number = world.buy(50, days=5)
    order = world.order(50)
    later = TODAY.date() + timedelta(days=20)
    world.by(BUYER, UpdateExpectedDate(purchase_order=number, expected_date=later, reason="strike"))
    found = world.cases()
    assert {"supply_short", "supply_delay", "supplier_discrepancy"} == found.keys()
    assert found["supply_delay"].customer == "T1"
    assert found["supply_short"].details["orders"][0]["order"] == order
    assert found["supply_short"].details["orders"][0]["after"] == later.isoformat()
    picture = catalog.stock_picture(world.session, {"T-1"})
    assert picture.promise("T-1", world.warehouse, Decimal(50), TODAY.date()) == later
    untouched = world.buy(10, "T-2")
    world.by(BUYER, UpdateExpectedDate(purchase_order=untouched, expected_date=later))
    assert world.session.scalar(select(func.count()).select_from(Disruption)) == 1


def test_a_disruption_ends_with_the_last_of_its_cases(world: Buying) -> None:
    on_the_shelf(world.session, world.warehouse, "T-1", 0)
    number = world.buy(50)
    world.order(50)
    world.arrive(number, 30, last=True)
    disruption = world.session.scalars(select(Disruption)).one()
    assert disruption.closed_at is None
    for case in world.cases().values():
        world.by(BOSS, CloseCase(case=case.id, resolution="done", root_cause="supplier"))
    world.session.refresh(disruption)
    assert disruption.closed_at is not None


def test_repeated_failures_get_the_response_that_policy_names(world: Buying) -> None:
    for n in range(POLICY.supply.failures):
        assert world.session.get_one(Supplier, "S1", populate_existing=True).risk == "low"
        world.arrive(world.buy(10), 8, f"R{n}", last=True)
    assert world.session.get_one(Supplier, "S1", populate_existing=True).risk == "high"
    case = world.open_case("supplier_non_compliance")
    assert case is not None
    assert case.queue == "purchasing"
    card = purchasing.scorecard(world.session, TODAY.date(), "S1")[0]
    assert (card["orders"], card["in_full"], card["discrepancy_rate"]) == (3, 0, 1)


# transfers


def level(world: Buying, warehouse: str) -> tuple[int, int, int]:
    found = world.session.get_one(StockLevel, (warehouse, "T-1"), populate_existing=True)
    return int(found.quantity_on_hand), int(found.quantity_set_aside), int(found.quantity_free)


def test_a_transfer_is_two_movements_and_goes_to_who_waits(world: Buying) -> None:
    on_the_shelf(world.session, world.warehouse, "T-1", 0)
    on_the_shelf(world.session, "T-NEAR", "T-1", 80)
    order = world.order(30)
    world.by(
        BOSS, TransferStock(source="T-NEAR", target=world.warehouse, sku="T-1", quantity=Decimal(30), reason="waits")
    )
    number = world.last
    assert level(world, "T-NEAR") == (80, 30, 50)
    assert supply.inbound(world.session, ["T-1"])["T-1", world.warehouse][0].quantity == 30
    world.by(DOCK, ShipTransfer(transfer=number, occurred_at=TODAY))
    assert level(world, "T-NEAR") == (50, 0, 50)
    assert world.level() == (0, 0, 0)
    world.by(DOCK, ReceiveTransfer(transfer=number, occurred_at=TODAY))
    assert (world.level(), world.status(order)) == ((30, 30, 0), "released")


def test_a_transfer_takes_only_what_is_free_and_gives_it_back_when_cancelled(world: Buying) -> None:
    on_the_shelf(world.session, "T-NEAR", "T-1", 20)
    move = {"source": "T-NEAR", "target": world.warehouse, "sku": "T-1", "reason": "waits"}
    assert codes(world, BOSS, TransferStock(**move, quantity=Decimal(21))) == ["not_free"]
    world.by(BOSS, TransferStock(**move, quantity=Decimal(20)))
    number = world.last
    adjust = AdjustStock(warehouse="T-NEAR", sku="T-1", on_hand=Decimal(5), reason="counted")
    assert codes(world, BOSS, adjust) == ["set_aside"]
    world.by(BOSS, CancelTransfer(transfer=number, reason="not needed"))
    assert level(world, "T-NEAR") == (20, 0, 20)
    with pytest.raises(IllegalTransition):
        world.by(DOCK, ShipTransfer(transfer=number, occurred_at=TODAY))


def test_what_is_lost_or_damaged_on_the_way_is_a_case_and_in_nobodys_stock(world: Buying) -> None:
    on_the_shelf(world.session, "T-NEAR", "T-1", 20)
    world.by(
        BOSS, TransferStock(source="T-NEAR", target=world.warehouse, sku="T-1", quantity=Decimal(20), reason="x" * 3)
    )
    number = world.last
    world.by(DOCK, ShipTransfer(transfer=number, quantity=Decimal(18), occurred_at=TODAY))
    assert level(world, "T-NEAR") == (2, 0, 0)  # two were not found and are held there
    world.by(DOCK, ReceiveTransfer(transfer=number, quantity=Decimal(15), damaged=Decimal(4), occurred_at=TODAY))
    assert (world.level(), world.apart()) == ((111, 0, 0), {"damaged": Decimal(4)})
    case = world.open_case("transfer_discrepancy")
    assert case is not None
    assert len(case.details["problems"]) == 2


def test_between_two_firms_a_transfer_has_a_price(world: Buying) -> None:
    on_the_shelf(world.session, "T-OTHER", "T-1", 20)
    move = {"source": "T-OTHER", "target": world.warehouse, "sku": "T-1", "quantity": Decimal(10), "reason": "waits"}
    world.by(BOSS, TransferStock(**move))
    made = world.session.get_one(Transfer, world.last)
    assert (made.intercompany, made.price) == (True, Decimal("60.00"))
    world.by(DOCK, ShipTransfer(transfer=made.number, quantity=Decimal(5), occurred_at=TODAY))
    owed = supply.intercompany(world.session, TODAY - timedelta(days=1))
    assert [(o["seller"], o["amount"]) for o in owed] == [
        ("E9", Decimal("30.00"))
    ]  # for what left, not for what was ordered
    on_the_shelf(world.session, "T-NEAR", "T-1", 20)
    world.by(BOSS, TransferStock(**{**move, "source": "T-NEAR"}))
    assert world.session.get_one(Transfer, world.last).price is None


# what to buy


def test_what_sells_is_asked_for_in_whole_packs_and_only_once(world: Buying) -> None:
    world.by(
        BOSS,
        SetSource(sku="T-1", supplier="S1", unit_cost=Decimal(6), pack_size=Decimal(24), minimum_quantity=Decimal(48)),
    )
    for _ in range(4):
        world.order(20)
    on_the_shelf(world.session, world.warehouse, "T-1", 80)  # all of it bound
    need = next(n for n in supply.needs(world.session, POLICY, TODAY.date()) if n.sku == "T-1")
    assert (need.supplier, need.quantity % 24) == ("S1", 0)
    assert need.quantity >= 48
    world.buy(int(need.quantity))
    assert [n for n in supply.needs(world.session, POLICY, TODAY.date()) if n.sku == "T-1"] == []


def test_cases_of_a_disruption_have_an_owner_queue_and_a_due_time(world: Buying) -> None:
    on_the_shelf(world.session, world.warehouse, "T-1", 0)
    world.order(50)
    world.arrive(world.buy(50), 20, last=True)
    queues = {c.queue for c in world.session.scalars(select(Case).where(Case.disruption_id.is_not(None)))}
    assert queues == {"purchasing", "allocation", "customer_service", "accounts_payable"}
    assert all(c.due_at for c in world.cases().values())
