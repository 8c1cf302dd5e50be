"""Any history of selling leaves the books right: a machine of random steps, checked against a small model; and many hands at once."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from erp_core import db
from erp_core.actions import execute
from erp_core.commands import (
    AdjustStock,
    AmendOrder,
    CancelOrder,
    Command,
    ConfirmShipment,
    HandledLine,
    LineChange,
    NewLine,
    PlaceOrder,
    PostPayment,
    ReleaseHold,
    ReportCount,
    RunBackorders,
)
from erp_core.db import Session
from erp_core.errors import CountersignError
from erp_core.queries import sales
from erp_core.tables.billing import Invoice
from erp_core.tables.parties import Customer
from erp_core.tables.sales import SalesOrder
from erp_core.tables.stock import StockLevel
from tests.conftest import TODAY
from tests.core.books import books_are_right
from tests.core.test_order_to_cash import World, on_the_shelf

COUNT = st.integers(1, 60)
PICK = st.integers(0, 1000)


class Selling(RuleBasedStateMachine):
    """Orders, changes, shipments, counts and payments of one customer and item. The model: what is on the shelf, what was billed."""

    session: Session
    make: Callable[[Session], World] = World

    def __init__(self) -> None:
        super().__init__()
        self.savepoint = self.session.begin_nested()
        self.world = type(self).make(self.session)
        self.world.session.get_one(Customer, "T1").credit_limit = Decimal(1500)
        self.on_shelf, self.orders, self.shipped = Decimal(100), [], 0

    def teardown(self) -> None:
        self.savepoint.rollback()
        self.session.expire_all()

    def attempt(self, command: Command, actor: str = "machine") -> bool:
        savepoint = self.session.begin_nested()
        try:
            self.world.turn += 1
            execute(self.session, command, key=f"m:{self.world.turn}", actor=actor, now=TODAY)
            savepoint.commit()
        except CountersignError:
            savepoint.rollback()
            self.session.expire_all()
            return False
        return True

    def one(self, pick: int) -> str:
        return str(self.orders[pick % len(self.orders)])

    @rule(quantity=COUNT, partial=st.booleans())
    def place(self, quantity: int, partial: bool) -> None:
        self.session.get_one(Customer, "T1", populate_existing=True).ships_partial = partial
        self.orders.append(self.world.order(quantity))

    @precondition(lambda self: self.orders)
    @rule(pick=PICK, quantity=COUNT)
    def amend(self, pick: int, quantity: int) -> None:
        self.attempt(AmendOrder(order=self.one(pick), changes=[LineChange(line=1, quantity=Decimal(quantity))]))

    @precondition(lambda self: self.orders)
    @rule(pick=PICK)
    def cancel(self, pick: int) -> None:
        self.attempt(CancelOrder(order=self.one(pick)))

    @precondition(lambda self: self.orders)
    @rule(pick=PICK, reason=st.sampled_from(["credit", "stock", "duplicate"]))
    def release(self, pick: int, reason: Any) -> None:
        if not self.attempt(ReleaseHold(order=self.one(pick), reason=reason)):
            self.attempt(ReleaseHold(order=self.one(pick), line=1, reason=reason))

    @precondition(lambda self: self.orders)
    @rule(pick=PICK, share=st.integers(1, 100), last=st.booleans())
    def ship(self, pick: int, share: int, last: bool) -> None:
        order = sales.order(self.session, self.one(pick))
        quantity = (order.lines[0].quantity_released * share / 100).quantize(Decimal(1))
        self.shipped += 1
        lines = [HandledLine(line=1, quantity=quantity)]
        command = ConfirmShipment(
            shipment=f"M-{self.shipped}",
            order=order.number,
            warehouse=self.world.warehouse,
            lines=lines,
            last=last,
            occurred_at=TODAY,
        )
        if self.attempt(command):
            self.on_shelf -= quantity

    @rule(counted=st.integers(0, 200), book=st.booleans())
    def count(self, counted: int, book: bool) -> None:
        where = {"warehouse": self.world.warehouse, "sku": "T-1"}
        if book:
            if self.attempt(AdjustStock(**where, on_hand=Decimal(counted), reason="counted")):
                self.on_shelf = Decimal(counted)
        else:
            self.attempt(ReportCount(**where, counted=Decimal(counted), occurred_at=TODAY))

    @rule(amount=st.integers(1, 900))
    def pay(self, amount: int) -> None:
        reference = f"P{self.world.turn}"
        self.attempt(PostPayment(customer="T1", reference=reference, amount=Decimal(amount), received_on=TODAY.date()))

    @rule()
    def backorders(self) -> None:
        self.attempt(RunBackorders(skus=["T-1"]))

    @invariant()
    def the_books_are_right(self) -> None:
        books_are_right(self.session)

    @invariant()
    def the_shelf_holds_what_the_model_says(self) -> None:
        level = self.session.get_one(StockLevel, (self.world.warehouse, "T-1"), populate_existing=True)
        assert level.quantity_on_hand == self.on_shelf

    @invariant()
    def what_left_is_billed_to_the_cent(self) -> None:
        for number in self.orders:
            order = self.session.get_one(SalesOrder, number, populate_existing=True)
            billed = sum(self.session.scalars(select(Invoice.amount).where(Invoice.order_number == number)), Decimal(0))
            assert billed == sum(x.quantity_shipped * 10 for x in order.lines)


def test_any_history_of_selling_leaves_the_books_right(api: Session) -> None:
    Selling.session = api
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Selling,
        settings=settings(
            max_examples=12,
            stateful_step_count=20,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.campaign
def test_any_history_of_selling_in_a_full_campaign(api: Session) -> None:
    Selling.session = api
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Selling,
        settings=settings(
            max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def many_hands(hands: int, turns: int, items: int, ready: Callable[[str], None] = lambda _: None) -> dict[str, int]:
    """Threads that place, cancel, ship, count and allocate the same few items, each command in a transaction of its own.

    `ready` is called with the warehouse before the first of them starts.
    """
    with db.transaction(db.API) as session:
        made = World(session)
        # the items that orders before these have bound most of: a count that finds less takes it from them too
        here = select(StockLevel.sku).where(StockLevel.warehouse == made.warehouse)
        skus = list(session.scalars(here.order_by(StockLevel.quantity_allocated.desc(), StockLevel.sku).limit(items)))
        for level in session.scalars(select(StockLevel).where(StockLevel.sku.in_(skus))):
            on_the_shelf(session, level.warehouse, level.sku, int(level.quantity_allocated) + 60)
        session.get_one(Customer, "T1").credit_limit = Decimal(10**7)
        warehouse = made.warehouse
    ready(warehouse)
    outcomes: dict[str, int] = {}
    lock, placed = threading.Lock(), []
    gate = threading.Semaphore(14)  # a process has 16 connections; the rest of the hands wait for one, as requests do

    def once(command: Command, key: str) -> str:
        for _ in range(8):
            try:
                with gate, db.transaction(db.API) as session:
                    result = execute(session, command, key=key, actor="hand", now=TODAY)
                return f"{command.type} done" if result.change.subject else ""
            except CountersignError:
                return f"{command.type} refused"
            except DBAPIError as error:
                if "deadlock" not in str(error) and "serialize" not in str(error):
                    raise
        return f"{command.type} gave up"

    def work(hand: int) -> None:
        chance = random.Random(hand)
        for turn in range(turns):
            key, sku = f"h:{hand}:{turn}", chance.choice(skus)
            dice = chance.random()
            with lock:
                known = list(placed)
            if dice < 0.5 or not known:
                line = NewLine(sku=sku, quantity=Decimal(chance.randint(1, 9)))
                number = f"H-{hand}-{turn}"
                command: Command = PlaceOrder(
                    customer="T1", number=number, customer_po=number, warehouse=warehouse, lines=[line]
                )
                with lock:
                    placed.append(number)
            elif dice < 0.65:
                command = CancelOrder(order=chance.choice(known))
            elif dice < 0.85:
                lines = [HandledLine(line=1, quantity=Decimal(chance.randint(1, 5)))]
                command = ConfirmShipment(
                    shipment=f"S-{hand}-{turn}",
                    order=chance.choice(known),
                    warehouse=warehouse,
                    lines=lines,
                    occurred_at=TODAY,
                )
            elif dice < 0.95:
                command = AdjustStock(
                    warehouse=warehouse, sku=sku, on_hand=Decimal(chance.randint(0, 90)), reason="counted"
                )
            else:
                command = RunBackorders(skus=[sku])
            said = once(command, key)
            with lock:
                outcomes[said] = outcomes.get(said, 0) + 1

    failures: list[BaseException] = []

    def guarded(hand: int) -> None:
        try:
            work(hand)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(hand,)) for hand in range(hands)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == [], failures[:3]
    with db.reading(db.API) as session:
        books_are_right(session)
    return outcomes


def test_eight_hands_on_three_items_leave_the_books_right(database: str) -> None:
    outcomes = many_hands(8, 12, 3)
    assert outcomes.get("place_order done", 0) > 20
    assert not [name for name in outcomes if name.endswith("gave up")]


@pytest.mark.campaign
def test_sixty_four_hands_on_ten_items_in_a_full_campaign(database: str) -> None:
    outcomes = many_hands(64, 30, 10)
    print(outcomes)
    assert not [name for name in outcomes if name.endswith("gave up")]
