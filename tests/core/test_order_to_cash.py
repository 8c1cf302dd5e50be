"""From order to cash: every step by a command, and what follows follows at once."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select, text

from erp_core import policy
from erp_core.actions import desk as decisions
from erp_core.actions import execute, ledger, requests, upkeep
from erp_core.actions.context import Context
from erp_core.actions.desk import Said
from erp_core.commands import (
    AdjustStock,
    AmendOrder,
    CancelOrder,
    ConfirmDelivery,
    ConfirmPick,
    ConfirmShipment,
    CreditReturn,
    HandledLine,
    IssueCreditMemo,
    LineChange,
    NewLine,
    PlaceHold,
    PlaceOrder,
    PostPayment,
    PromiseDate,
    Reallocate,
    ReceiveReturn,
    ReleaseHold,
    ReportCount,
    ReportDelay,
    RequestChange,
    RequestReturn,
    ReturnedLine,
    ReturnToShelf,
    RunBackorders,
    SaveCustomer,
    SetCapacity,
    SetCreditLimit,
    SetPrice,
    SetUnit,
)
from erp_core.db import Session
from erp_core.errors import NotAuthorised, RuleViolation
from erp_core.queries import sales
from erp_core.tables.billing import CreditMemo, Invoice
from erp_core.tables.catalog import Item
from erp_core.tables.desk import Case, OutboxMail
from erp_core.tables.fulfilment import Shipment, WaitingEvent
from erp_core.tables.parties import Contact, Customer
from erp_core.tables.returns import Return
from erp_core.tables.sales import SalesOrder
from erp_core.tables.stock import Allocation, StockLevel
from erp_core.values import HoldReason, Outcome, ReturnReason, Verdict
from tests.conftest import TODAY
from tests.core.books import books_are_right

WAREHOUSE = "wms"


def on_the_shelf(session: Session, warehouse: str, sku: str, quantity: int) -> None:
    """Put the shelf to `quantity`, whatever waits for it."""
    level = ledger.level(session, warehouse, sku, make=True)
    context = Context(session, "shelf", "test", TODAY, policy.shipped())
    more = quantity - level.quantity_on_hand
    (ledger.put if more > 0 else ledger.take)(level, abs(more), ledger.COUNT, "test", context)
    session.flush()


class World:
    """A customer with credit, an item with stock, and a hand to run commands."""

    def __init__(self, session: Session) -> None:
        self.session, self.turn = session, 0
        entity = session.execute(text("SELECT code FROM entity ORDER BY code")).scalars().first()
        place = session.execute(text("SELECT code FROM warehouse ORDER BY code")).scalars().first()
        self.warehouse = str(place)
        session.add(
            Customer(
                code="T1",
                entity=str(entity),
                name="Test One",
                tier="A",
                payment_terms_days=30,
                credit_limit=Decimal(10_000),
                currency="USD",
                country="US",
                status="active",
                ships_partial=True,
                delivery={},
                version=1,
            )
        )
        session.add(
            Item(
                sku="T-1",
                name="Test thing",
                uom="EA",
                units_per_case=Decimal(12),
                list_price=Decimal(10),
                unit_cost=Decimal(6),
                export_class="EAR99",
                hazmat=False,
                status="active",
            )
        )
        session.flush()
        session.add(StockLevel(warehouse=self.warehouse, sku="T-1", quantity_on_hand=Decimal(100)))
        session.flush()
        ledger.open_balances(session, TODAY)

    def run(self, command: Any, at: Any = TODAY) -> dict[str, Any]:
        self.turn += 1
        result = execute(self.session, command, key=f"t:{self.turn}", actor=WAREHOUSE, now=at)
        books_are_right(self.session)
        return result.change.after or {}

    def order(self, quantity: int = 10, **more: Any) -> str:
        line = NewLine(sku="T-1", quantity=Decimal(quantity))
        self.turn += 1
        more = {"customer": "T1", **more}
        asked = PlaceOrder(warehouse=self.warehouse, customer_po=f"PO{self.turn}", lines=[line], **more)
        result = execute(
            self.session, asked, key=f"t:{self.turn}", actor="edi", now=TODAY - timedelta(days=8 * self.turn)
        )
        books_are_right(self.session)
        return result.change.subject.removeprefix("sales_order:")

    def ship(self, order: str, quantity: int, shipment: str = "SH-T1", **more: Any) -> dict[str, Any]:
        lines = [HandledLine(line=1, quantity=Decimal(quantity))]
        command = ConfirmShipment(
            shipment=shipment, order=order, warehouse=self.warehouse, lines=lines, occurred_at=TODAY, **more
        )
        return self.run(command)

    def status(self, order: str) -> str:
        return self.session.get_one(SalesOrder, order, populate_existing=True).status

    def level(self) -> tuple[int, int, int]:
        found = self.session.get_one(StockLevel, (self.warehouse, "T-1"), populate_existing=True)
        return int(found.quantity_on_hand), int(found.quantity_allocated), int(found.quantity_held)

    def invoice(self, order: str) -> Invoice:
        self.session.flush()
        return self.session.scalars(select(Invoice).where(Invoice.order_number == order)).one()

    def holds(self, order: str) -> list[str]:
        return [h.reason for h in sales.active_holds(self.session, order)]

    def open_case(self, kind: str) -> Case | None:
        query = select(Case).where(Case.kind == kind, Case.status.in_(["new", "investigating", "awaiting_review"]))
        return self.session.scalars(query.order_by(Case.id.desc()).execution_options(populate_existing=True)).first()


@pytest.fixture
def world(api: Session) -> World:
    return World(api)


def refused(world: World, command: Any) -> list[str]:
    with pytest.raises(RuleViolation) as told, world.session.begin_nested():
        world.run(command)
    return [p.code for p in told.value.problems]


def test_a_clean_order_goes_to_cash_without_a_hand_on_it(world: World) -> None:
    order = world.order(10)
    assert world.status(order) == "released"
    world.run(ConfirmPick(order=order, warehouse=world.warehouse, occurred_at=TODAY))
    world.ship(order, 10)
    assert world.status(order) == "invoiced"
    assert world.level() == (90, 0, 0)
    invoice = world.invoice(order)
    assert (invoice.amount, invoice.due_on) == (Decimal("100.00"), TODAY.date() + timedelta(days=30))
    paid = PostPayment(customer="T1", reference="W1", amount=Decimal("120"), received_on=TODAY.date())
    assert world.run(paid)["unapplied"] == "20.00"
    assert world.status(order) == "closed"
    assert refused(world, paid) == ["payment_known"]


def test_a_part_delivery_is_billed_for_its_part_and_the_rest_ships_later(world: World) -> None:
    order = world.order(10)
    world.ship(order, 4, last=False)
    assert (world.status(order), world.invoice(order).amount) == ("released", Decimal("40.00"))
    world.ship(order, 6, "SH-T2")
    assert world.status(order) == "invoiced"
    bills = world.session.scalars(select(Invoice.amount).where(Invoice.order_number == order)).all()
    assert sorted(bills) == [Decimal("40.00"), Decimal("60.00")]


def test_what_was_released_and_did_not_leave_is_missing_until_counted(world: World) -> None:
    order = world.order(100)
    world.ship(order, 70)
    assert world.level() == (30, 0, 30)
    assert "stock" in world.holds(order)
    case = world.open_case("stock_mismatch")
    assert case is not None
    world.run(AdjustStock(warehouse=world.warehouse, sku="T-1", on_hand=Decimal(25), reason="counted twice"))
    assert world.level() == (25, 25, 0)
    assert world.open_case("stock_mismatch") is None
    world.ship(order, 25, "SH-T2", last=False)
    assert world.status(order) != "invoiced"


def test_nothing_leaves_from_the_wrong_place_twice_too_much_or_under_a_hold(world: World) -> None:
    order = world.order(10)
    lines = [HandledLine(line=1, quantity=Decimal(10))]
    right = {"order": order, "lines": lines, "occurred_at": TODAY}
    other = (
        world.session.execute(text("SELECT code FROM warehouse WHERE code <> :w"), {"w": world.warehouse})
        .scalars()
        .first()
    )
    assert refused(world, ConfirmShipment(shipment="S1", warehouse=str(other), **right)) == ["wrong_warehouse"]
    too_much = {**right, "lines": [HandledLine(line=1, quantity=Decimal(11)), HandledLine(line=9, quantity=Decimal(1))]}
    command = ConfirmShipment(shipment="S1", warehouse=world.warehouse, **too_much)
    assert refused(world, command) == ["more_than_released", "line_unknown"]
    world.run(PlaceHold(order=order, reason=HoldReason.MANUAL, note="stop"))
    command = ConfirmShipment(shipment="S1", warehouse=world.warehouse, **right)
    assert refused(world, command) == ["not_released", "held"]
    world.run(ReleaseHold(order=order, reason=HoldReason.MANUAL))
    world.run(command)
    assert refused(world, command)[0] == "not_released"


def test_the_customer_is_told_that_goods_left_and_that_they_are_late(world: World) -> None:
    world.session.add(Contact(customer="T1", name="Ann", email="ann@t1.example"))
    order = world.order(1)
    world.ship(order, 1, carrier="UPS", tracking="1Z999")
    late = TODAY + timedelta(days=9)
    world.run(ReportDelay(shipment="SH-T1", expected_at=late, reason="snow"))
    mails = world.session.scalars(
        select(OutboxMail).where(OutboxMail.to == "ann@t1.example").order_by(OutboxMail.id)
    ).all()
    assert [m.subject for m in mails] == [f"{order}: on its way", f"{order}: late"]
    assert "UPS 1Z999" in mails[0].body
    assert "June 24" in mails[1].body
    assert world.open_case("shipment_delay") is not None


def test_a_promise_never_goes_beyond_what_is_covered(world: World) -> None:
    world.order(100)
    second = world.order(10)
    assert refused(world, PromiseDate(order=second, promised_date=TODAY.date() + timedelta(days=5))) == [
        "promise_not_covered"
    ]


def test_cancelling_a_partly_shipped_order_cancels_the_rest(world: World) -> None:
    order = world.order(10)
    world.ship(order, 4, last=False)
    less = AmendOrder(order=order, changes=[LineChange(line=1, quantity=Decimal(3))])
    assert refused(world, less) == ["partly_shipped"]
    world.run(CancelOrder(order=order))
    assert world.status(order) == "invoiced"
    assert world.level() == (96, 0, 0)
    assert sales.total(sales.order(world.session, order)) == Decimal("40.00")


def test_a_full_warehouse_holds_orders_until_it_can_take_more(world: World) -> None:
    busy = world.session.execute(
        text("SELECT count(*) FROM sales_order WHERE status = 'released' AND warehouse = :w"), {"w": world.warehouse}
    ).scalar_one()
    world.run(SetCapacity(warehouse=world.warehouse, capacity=busy + 1))
    first, second = world.order(1), world.order(2)
    assert (world.status(first), world.holds(second)) == ("released", ["shipping"])
    world.run(SetCreditLimit(customer="T1", credit_limit=Decimal(20_000)))
    assert world.holds(first) == []
    world.run(SetCapacity(warehouse=world.warehouse))
    assert (world.status(second), world.holds(second)) == ("released", [])


def test_a_delivery_reported_before_its_shipment_waits_for_it(world: World) -> None:
    order = world.order(1)
    world.run(ConfirmDelivery(shipment="SH-T1", occurred_at=TODAY + timedelta(hours=5)))
    assert world.session.scalars(select(WaitingEvent)).one().applied_at is None
    world.ship(order, 1)
    assert world.session.get_one(Shipment, "SH-T1").delivered_at == TODAY + timedelta(hours=5)
    assert world.session.scalars(select(WaitingEvent)).one().applied_at is not None


def test_a_count_below_the_books_can_be_promised_to_nobody(world: World) -> None:
    world.run(ReportCount(warehouse=world.warehouse, sku="T-1", counted=Decimal(95), occurred_at=TODAY))
    assert world.level() == (100, 0, 5)
    assert world.open_case("stock_mismatch") is not None
    order = world.order(100)
    assert "stock" in world.holds(order)
    assert world.level() == (100, 95, 5)


def test_a_tax_hold_lets_goods_go_and_keeps_the_bill_until_it_is_released(world: World) -> None:
    order = world.order(10)
    world.run(PlaceHold(order=order, reason=HoldReason.TAX, note="certificate expired"))
    world.ship(order, 10)
    assert world.status(order) == "shipped"
    assert world.open_case("invoice_hold") is not None
    world.run(ReleaseHold(order=order, reason=HoldReason.TAX))
    assert world.status(order) == "invoiced"
    assert world.invoice(order).amount == Decimal("100.00")
    assert world.open_case("invoice_hold") is None


def test_a_picked_order_is_changed_only_when_the_goods_are_back_on_the_shelf(world: World) -> None:
    order = world.order(10)
    world.run(ConfirmPick(order=order, warehouse=world.warehouse, occurred_at=TODAY))
    less = AmendOrder(order=order, changes=[LineChange(line=1, quantity=Decimal(5))])
    assert refused(world, less) == ["already_picked"]
    assert world.run(RequestChange(change=less))["queue"] == "warehouse"
    assert world.level() == (100, 10, 0)
    world.run(ReturnToShelf(order=order, warehouse=world.warehouse, occurred_at=TODAY))
    world.run(less)
    assert world.level() == (100, 5, 0)
    world.ship(order, 5)
    assert refused(world, CancelOrder(order=order)) == ["already_shipped"]
    assert world.run(RequestChange(change=CancelOrder(order=order)))["queue"] == "returns"


def test_a_payment_and_a_raised_limit_let_held_orders_go_and_a_lowered_limit_stops_them(world: World) -> None:
    first = world.order(60)
    world.session.get_one(Customer, "T1").credit_limit = Decimal(990)
    second = world.order(40)
    assert world.holds(second) == ["credit"]
    case = world.open_case("hold_credit")
    assert case is not None
    world.run(SetCreditLimit(customer="T1", credit_limit=Decimal(1000)))
    assert (world.status(second), world.holds(second)) == ("released", [])
    assert world.session.get_one(Case, case.id, populate_existing=True).root_cause == "by_itself"
    world.run(SetCreditLimit(customer="T1", credit_limit=Decimal(900)))
    assert "credit" in world.holds(first)
    assert "credit" in world.holds(second)
    assert world.status(first) == "allocated"


def test_money_received_frees_credit_at_once(world: World) -> None:
    billed = world.order(60)
    world.ship(billed, 60)
    world.session.get_one(Customer, "T1").credit_limit = Decimal(800)
    held = world.order(30)
    assert world.holds(held) == ["credit"]
    world.run(PostPayment(customer="T1", reference="W1", amount=Decimal(600), received_on=TODAY.date()))
    assert (world.status(held), world.holds(held)) == ("released", [])


def test_a_waiver_ends_with_its_facts_and_with_its_time(world: World) -> None:
    world.session.get_one(Customer, "T1").credit_limit = Decimal(50)
    order = world.order(10)
    world.run(ReleaseHold(order=order, reason=HoldReason.CREDIT))
    assert world.status(order) == "released"
    bigger = AmendOrder(order=order, changes=[LineChange(line=1, quantity=Decimal(11))])
    world.run(bigger)
    assert world.holds(order) == ["credit"]
    world.run(ReleaseHold(order=order, reason=HoldReason.CREDIT))
    later = TODAY + timedelta(hours=400)
    world.run(AmendOrder(order=order, requested_date=later.date()), at=later)
    assert world.holds(order) == ["credit"]


def test_stock_that_comes_goes_to_waiting_orders_in_the_order_of_policy(world: World) -> None:
    on_the_shelf(world.session, world.warehouse, "T-1", 0)
    old, urgent = world.order(5), world.order(5)
    world.session.get_one(SalesOrder, urgent).expedited = True
    world.run(AdjustStock(warehouse=world.warehouse, sku="T-1", on_hand=Decimal(7), reason="found a pallet"))
    assert world.status(urgent) == "released"
    assert world.holds(urgent) == []
    line = sales.order(world.session, old).lines[0]
    assert (line.quantity_allocated, sales.backordered(line)) == (2, 3)


def test_who_takes_no_part_deliveries_hoards_no_stock(world: World) -> None:
    on_the_shelf(world.session, world.warehouse, "T-1", 0)
    world.session.get_one(Customer, "T1").ships_partial = False
    big, small = world.order(50), world.order(5)
    on_the_shelf(world.session, world.warehouse, "T-1", 10)
    world.session.flush()
    assert world.run(RunBackorders(warehouse=world.warehouse, skus=["T-1"]))["orders"] == 1
    assert world.status(small) == "released"
    assert sales.order(world.session, big).lines[0].quantity_allocated == 0


def test_bound_stock_moves_between_orders_only_while_it_is_on_the_shelf(world: World) -> None:
    first, second = world.order(100), world.order(20)
    assert world.holds(second) == ["stock"]
    move = Reallocate(from_order=first, from_line=1, order=second, line=1, quantity=Decimal(20), reason="line down")
    world.run(move)
    assert world.status(second) == "released"
    assert sales.backordered(sales.order(world.session, first).lines[0]) == 20
    world.run(ConfirmPick(order=first, warehouse=world.warehouse, occurred_at=TODAY))
    assert "not_on_the_shelf" in refused(world, move)


def test_a_reservation_that_nobody_released_runs_out_for_those_who_wait(world: World) -> None:
    world.session.get_one(Customer, "T1").credit_limit = Decimal(10)
    held = world.order(100)
    assert world.holds(held) == ["credit"]
    world.session.get_one(Customer, "T1").credit_excluded = True
    waiting = world.order(30)
    assert world.holds(waiting) == ["stock"]
    world.session.get_one(Customer, "T1").credit_excluded = False
    world.session.execute(text("UPDATE customer SET credit_excluded = true WHERE code = 'T1'"))
    world.session.expire_all()
    upkeep.expire_reservations(world.session, TODAY + timedelta(days=30))
    books_are_right(world.session)
    assert world.status(waiting) == "released"
    expired = select(Allocation).where(Allocation.order_number == held, Allocation.status == "expired")
    assert world.session.scalars(expired).first() is not None


def test_a_return_goes_from_request_to_credit_and_back_to_stock(world: World) -> None:
    order = world.order(10)
    world.ship(order, 10)
    lines = [ReturnedLine(line=1, quantity=Decimal(4))]
    made = world.run(RequestReturn(order=order, reason=ReturnReason.NO_LONGER_NEEDED, lines=lines))
    assert made["status"] == "authorised"
    number = world.session.scalars(select(Return.number)).one()
    too_many = RequestReturn(
        order=order, reason=ReturnReason.DAMAGED, lines=[ReturnedLine(line=1, quantity=Decimal(7))]
    )
    assert refused(world, too_many) == ["more_than_delivered"]
    world.run(ReceiveReturn(return_number=number, warehouse=world.warehouse, lines=lines))
    assert world.level() == (94, 0, 0)
    world.run(CreditReturn(return_number=number))
    memo = world.session.scalars(select(CreditMemo)).one()
    assert memo.amount == Decimal("34.00")  # 40 less 15 % restocking
    assert world.invoice(order).amount_settled == Decimal("34.00")
    over = IssueCreditMemo(invoice=world.invoice(order).number, amount=Decimal("66.01"), reason="too much")
    assert refused(world, over) == ["credit_too_large"]


def test_a_late_or_large_return_waits_for_a_signature(world: World) -> None:
    order = world.order(90)
    world.ship(order, 90)
    lines = [ReturnedLine(line=1, quantity=Decimal(90))]
    made = world.run(RequestReturn(order=order, reason=ReturnReason.DEFECTIVE, lines=lines))
    assert made["status"] == "requested"
    case = world.open_case("return")
    assert case is not None
    assert case.queue == "returns"


def test_units_are_exact_and_a_unit_that_does_not_divide_is_refused(world: World) -> None:
    world.run(SetUnit(sku="T-1", uom="RL", numerator=100, denominator=3))
    line = NewLine(sku="T-1", quantity=Decimal(3), uom="RL")
    order = execute(world.session, PlaceOrder(customer="T1", lines=[line]), key="u1", actor="edi", now=TODAY)
    assert order.change.after is not None
    assert order.change.after["total"] == "1000.00"
    odd = PlaceOrder(customer="T1", lines=[NewLine(sku="T-1", quantity=Decimal(1), uom="RL")])
    with pytest.raises(RuleViolation, match="not sold by RL"):
        execute(world.session, odd, key="u2", actor="edi", now=TODAY)


def test_a_contract_beats_the_tier_and_the_tier_beats_the_list(world: World) -> None:
    day = TODAY.date() - timedelta(days=999)
    assert total(world, 1) == "10.00"
    world.run(SetPrice(tier="A", sku="T-1", unit_price=Decimal(9), valid_from=day))
    assert total(world, 2) == "18.00"
    world.run(SetPrice(customer="T1", sku="T-1", unit_price=Decimal(8), valid_from=day))
    assert total(world, 3) == "24.00"


def total(world: World, quantity: int) -> str:
    return str(sales.total(sales.order(world.session, world.order(quantity))))


def test_a_new_price_mends_or_breaks_what_waits_for_it(world: World) -> None:
    line = NewLine(sku="T-1", quantity=Decimal(1), unit_price=Decimal(9))
    placed = execute(world.session, PlaceOrder(customer="T1", lines=[line]), key="p", actor="edi", now=TODAY)
    number = placed.change.subject.removeprefix("sales_order:")
    assert world.holds(number) == ["price"]
    world.run(SetPrice(customer="T1", sku="T-1", unit_price=Decimal(9), valid_from=TODAY.date()))
    assert world.holds(number) == []


def test_a_customer_much_like_another_is_looked_at(world: World) -> None:
    entity = world.session.get_one(Customer, "T1").entity
    new = SaveCustomer(customer="T2", name="TEST ONE", entity=entity, currency="USD", country="US")
    world.run(new)
    case = world.open_case("master_data")
    assert case is not None
    assert "T1" in case.details["problems"][0]
    assert refused(world, SaveCustomer(customer="T3", name="Alone")) == ["data_missing"]


STEWARD, CHECKER = "steward@northfieldsupply.example", "checker@northfieldsupply.example"


def test_a_credit_limit_needs_a_maker_and_a_checker(world: World) -> None:
    session = world.session
    session.execute(
        text(
            "INSERT INTO app_user VALUES (:s, 'Steward', ARRAY['data_steward'], 0), (:c, 'Checker', ARRAY['compliance_officer'], 0)"
        ),
        {"s": STEWARD, "c": CHECKER},
    )
    raise_it = SetCreditLimit(customer="T1", credit_limit=Decimal(99_999))
    with pytest.raises(NotAuthorised, match="two people"):
        requests.act(session, raise_it, key="x", actor=STEWARD, now=TODAY)
    proposal = requests.propose(session, [raise_it], key="x", reason="good payer", actor=STEWARD, now=TODAY)

    def sign(actor: str) -> Outcome:
        shown = decisions.preview(session, proposal, TODAY).digest
        return decisions.decide(session, proposal.id, Said(Verdict.APPROVE, "", shown), actor=actor, now=TODAY).outcome

    assert sign(STEWARD) == Outcome.SIGNED
    assert sign(STEWARD) == Outcome.REFUSED
    assert session.get_one(Customer, "T1", populate_existing=True).credit_limit == 10_000
    assert sign(CHECKER) == Outcome.EXECUTED
    assert session.get_one(Customer, "T1", populate_existing=True).credit_limit == 99_999
