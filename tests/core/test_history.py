"""What many hands did at once is what somebody could have done one after the other: the journal, replayed in a serial model, fits
at every step and ends where the database ended."""

from __future__ import annotations

import random
import re
import threading
from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from erp_core import db
from erp_core.actions import execute
from erp_core.commands import CancelOrder, NewLine, PlaceOrder, PostPayment
from erp_core.db import Session
from erp_core.errors import CountersignError
from erp_core.tables.desk import JournalEntry
from erp_core.tables.parties import Customer
from erp_core.tables.sales import Hold, OrderLine, SalesOrder
from erp_core.tables.stock import StockLevel
from tests.conftest import TODAY
from tests.core.books import books_are_right
from tests.core.test_machine import many_hands
from tests.core.test_order_to_cash import World, on_the_shelf

OF = re.compile(r"([\d.]+) of (\S+) from (\S+)")
WAYS = {"order:stock:allocated": 1, "order:stock:taken": -1}


class Serial:
    """One hand after the other: what is on each shelf, and what each order has bound and sent."""

    def __init__(self, warehouse: str, on_hand: dict[str, Decimal], lines: Sequence[OrderLine]) -> None:
        self.warehouse, self.on_hand, self.steps = warehouse, on_hand, 0
        self.bound: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)  # order, line, item
        self.sent: dict[tuple[str, str], Decimal] = defaultdict(Decimal)  # order, line
        for line in lines:
            self.bound[line.order_number, str(line.line), line.sku] = line.quantity_allocated
            self.sent[line.order_number, str(line.line)] = line.quantity_shipped
        self.before = {line.order_number for line in lines}

    def step(self, entry: JournalEntry) -> None:
        kind, name = (entry.subject or ":").split(":", 1)
        if kind == "sales_order" and entry.tag in WAYS:
            for line, words in (entry.after or {}).items():
                quantity, sku, warehouse = re.fullmatch(OF, words).groups()  # type: ignore[union-attr]
                if warehouse == self.warehouse:
                    self.bound[name, line, sku] += WAYS[entry.tag] * Decimal(quantity)
        elif kind == "sales_order" and (name.startswith("H-") or name in self.before):
            if entry.after and "lines" in entry.after:
                self._order(name, entry)
        elif entry.tag == "stock:level:adjusted":
            self._adjusted(name, entry)
        self.steps += 1

    def _order(self, name: str, entry: JournalEntry) -> None:
        for line, was in ((entry.before or {}).get("lines") or {}).items():
            assert self.sent[name, line] == Decimal(was["shipped"]), (entry.key, "another shipment was not seen")
            assert self.bound[name, line, was["sku"]] == Decimal(was["allocated"]), (entry.key, "another's stock")
        for line, now in (entry.after or {})["lines"].items():
            if left := Decimal(now["shipped"]) - self.sent[name, line]:
                self.on_hand[now["sku"]] -= left
                assert self.on_hand[now["sku"]] >= 0, (entry.key, now["sku"])
            self.sent[name, line] = Decimal(now["shipped"])
            self.bound[name, line, now["sku"]] = Decimal(now["allocated"])

    def _adjusted(self, name: str, entry: JournalEntry) -> None:
        _, sku = name.split(":")
        assert entry.before is not None
        assert entry.after is not None
        assert self.on_hand[sku] == Decimal(entry.before["on_hand"]), (entry.key, "stock was not seen")
        assert self.of(sku) == Decimal(entry.after["allocated"]), (entry.key, "what an order has bound was not seen")
        self.on_hand[sku] = Decimal(entry.after["on_hand"])

    def of(self, sku: str) -> Decimal:
        return sum((q for (_, _, item), q in self.bound.items() if item == sku), Decimal(0))


def levels(session: Session, warehouse: str) -> dict[str, StockLevel]:
    return {x.sku: x for x in session.scalars(select(StockLevel).where(StockLevel.warehouse == warehouse))}


def history_fits(hands: int, turns: int, items: int) -> Serial:
    """Let hands work, then replay what the journal says of it."""
    first: dict[str, Any] = {}

    def ready(warehouse: str) -> None:
        with db.reading(db.API) as session:
            on_hand = {sku: level.quantity_on_hand for sku, level in levels(session, warehouse).items()}
            lines = select(OrderLine).join(SalesOrder, SalesOrder.number == OrderLine.order_number)
            bound = session.scalars(lines.where(SalesOrder.warehouse == warehouse)).all()
            first["serial"] = Serial(warehouse, on_hand, bound)
            first["entry"] = session.scalar(select(func.max(JournalEntry.id))) or 0

    many_hands(hands, turns, items, ready)
    serial: Serial = first["serial"]
    with db.reading(db.API) as session:
        # a command writes its entry while it holds its locks, so entries of commands in each other's way stand in the order they ran
        for entry in session.scalars(
            select(JournalEntry).where(JournalEntry.id > first["entry"]).order_by(JournalEntry.id)
        ):
            serial.step(entry)
        for sku, level in levels(session, serial.warehouse).items():
            assert serial.on_hand[sku] == level.quantity_on_hand, sku
            assert serial.of(sku) == level.quantity_allocated, sku
        for line in session.scalars(select(OrderLine).where(OrderLine.order_number.like("H-%"))):
            assert serial.sent[line.order_number, str(line.line)] == line.quantity_shipped
    return serial


def test_the_history_of_eight_hands_fits_a_serial_model(database: str) -> None:
    assert history_fits(8, 12, 3).steps > 90


@pytest.mark.campaign
def test_the_history_of_sixty_four_hands_fits_a_serial_model(database: str) -> None:
    print("journal entries replayed:", history_fits(64, 40, 10).steps)


def credit_races(hands: int, turns: int, limit: int) -> int:
    """Hands that order, cancel and pay for one customer at once; orders let through."""
    with db.transaction(db.API) as session:
        made = World(session)
        session.get_one(Customer, "T1").credit_limit = Decimal(limit)
        on_the_shelf(session, made.warehouse, "T-1", 10**6)
    gate, failures = threading.Semaphore(14), []

    def once(command: Any, key: str) -> None:
        with gate, db.transaction(db.API) as session:
            execute(session, command, key=key, actor="hand", now=TODAY)

    def work(hand: int) -> None:
        chance = random.Random(hand)
        for turn in range(turns):
            number = f"R-{hand}-{turn}"
            line = NewLine(sku="T-1", quantity=Decimal(chance.randint(1, 30)))
            commands: list[Any] = [PlaceOrder(customer="T1", number=number, customer_po=number, lines=[line])]
            if chance.random() < 0.3:
                commands.append(CancelOrder(order=f"R-{hand}-{chance.randint(0, turn)}"))
            if chance.random() < 0.1:
                amount = Decimal(chance.randint(1, 50))
                commands.append(PostPayment(customer="T1", reference=number, amount=amount, received_on=TODAY.date()))
            for position, command in enumerate(commands):
                try:
                    once(command, f"r:{hand}:{turn}:{position}")
                except (CountersignError, DBAPIError) as error:
                    if not isinstance(error, CountersignError) and not db.passing(error):
                        failures.append(error)

    threads = [threading.Thread(target=work, args=(hand,)) for hand in range(hands)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    return _let_through(limit)


def _let_through(limit: int) -> int:
    """The orders that no hold stops must fit the limit together with those before them, whatever order they came in."""
    with db.reading(db.API) as session:
        books_are_right(session)
        held = select(Hold.order_number).where(Hold.released_at.is_(None), Hold.reason == "credit")
        going = select(SalesOrder).where(
            SalesOrder.customer == "T1", SalesOrder.status == "released", SalesOrder.number.not_in(held)
        )
        orders = list(session.scalars(going))
        value = sum((x.unit_price * x.quantity_ordered for o in orders for x in o.lines), Decimal(0))
        assert value <= limit
        return len(orders)


def test_hands_that_race_for_one_limit_never_pass_it(database: str) -> None:
    assert credit_races(8, 15, 1500) > 0


@pytest.mark.campaign
def test_ten_thousand_races_for_one_limit_never_pass_it(database: str) -> None:
    print("orders let through:", credit_races(64, 157, 9000))
