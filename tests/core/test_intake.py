"""Orders come in: the same verdict one by one, in a batch and by import; stock never oversold, credit never overshot."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, select, text

from erp_core import db
from erp_core.actions import execute, execute_orders
from erp_core.actions.intake import Asked
from erp_core.commands import NewLine, PlaceOrder
from erp_core.db import Session
from erp_core.errors import KeyReused, RuleViolation
from erp_core.tables.billing import CustomerAccount
from erp_core.tables.catalog import Item
from erp_core.tables.parties import Customer
from erp_core.tables.sales import OrderLine, SalesOrder
from erp_core.tables.stock import Allocation, StockLevel
from tests.conftest import TODAY
from tests.core.books import books_are_right
from tests.core.test_order_to_cash import on_the_shelf

NOW = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
assert NOW == TODAY


def any_orders(session: Session, seed: int, number: int) -> list[PlaceOrder]:
    """Orders good and bad: unknown items, foreign units, odd prices, huge quantities, repeated POs and baskets, abroad."""
    chance = random.Random(seed)
    customers = session.scalars(select(Customer.code).order_by(Customer.code)).all()
    skus = [*session.scalars(select(Item.sku).order_by(Item.sku)).all()[:25], "NO-SUCH"]
    orders: list[PlaceOrder] = []
    for _ in range(number):
        if orders and chance.random() < 0.15:
            orders.append(chance.choice(orders))  # the same again
            continue
        lines = [
            NewLine(
                sku=chance.choice(skus),
                quantity=Decimal(chance.choice([1, 2, 10, 50, 400, 5000])),
                uom=chance.choice(["EA", "EA", "EA", "CS", "BX", "RL"]),
                unit_price=chance.choice([None, None, Decimal("0.01"), Decimal("99.99")]),
            )
            for _ in range(chance.randint(1, 4))
        ]
        orders.append(
            PlaceOrder(
                customer=chance.choice([*customers, "NOBODY"]),
                channel=chance.choice(["edi", "portal", "email"]),
                customer_po=chance.choice([None, "PO-1", "po-1", f"PO-{chance.randint(2, 99)}"]),
                ship_to_country=chance.choice([None, None, "MX"]),
                payment_terms_days=chance.choice([None, 10, 120]),
                lines=lines,
            )
        )
    return orders


WORLD = """
SELECT o.customer, o.channel, o.customer_po, o.warehouse, o.ship_to_country, o.basket, o.status, (SELECT json_agg(json_build_array(l.line,
  l.sku, l.quantity_base, l.quantity_allocated, l.quantity_released, l.unit_price) ORDER BY l.line) FROM order_line l
  WHERE l.order_number = o.number)::text,
 (SELECT json_agg(json_build_array(h.line, h.reason, h.problem->>'code') ORDER BY h.line, h.reason) FROM hold h
  WHERE h.order_number = o.number)::text,
 (SELECT json_agg(json_build_array(c.kind, c.queue, c.priority, c.at_stake) ORDER BY c.kind) FROM case_file c
  WHERE c.order_number = o.number)::text
FROM sales_order o WHERE o.ordered_at = :now ORDER BY o.number
"""
FIGURES = (
    "SELECT * FROM customer_account ORDER BY customer",
    "SELECT customer, sku, orders, quantity FROM customer_item ORDER BY customer, sku",
    "SELECT * FROM stock_level ORDER BY warehouse, sku",
    "SELECT tag, count(*) FROM journal_entry GROUP BY tag ORDER BY tag",
)


def world(session: Session) -> list[Any]:
    return [session.execute(text(WORLD), {"now": NOW}).all(), *(session.execute(text(f)).all() for f in FIGURES)]


@pytest.mark.parametrize("seed", range(4))
def test_a_batch_gives_the_verdicts_that_its_orders_get_one_by_one(api: Session, seed: int) -> None:
    orders = any_orders(api, seed, 40)
    savepoint = api.begin_nested()
    singly: list[list[str]] = []
    for position, order in enumerate(orders):
        try:
            execute(api, order, key=f"t:{position}", actor="edi", now=NOW)
            singly.append([])
        except RuleViolation as refusal:
            singly.append([p.code for p in refusal.problems])
    one_by_one = world(api)
    books_are_right(api)
    savepoint.rollback()
    api.expire_all()
    asked = [Asked(order, f"t:{position}") for position, order in enumerate(orders)]
    verdicts = execute_orders(api, asked, actor="edi", now=NOW)
    assert [[p.code for p in v.problems] for v in verdicts] == singly
    assert world(api) == one_by_one
    assert len(one_by_one[0]) > 10
    books_are_right(api)


def test_a_key_gives_its_answer_again_in_a_batch_and_with_another_order_it_is_an_error(api: Session) -> None:
    first, second = good(api, 2)
    placed = execute_orders(api, [Asked(first, "k")], actor="edi", now=NOW)[0].result()
    again = execute_orders(api, [Asked(first, "k"), Asked(second, "k2")], actor="edi", now=NOW)
    assert again[0].result().replayed
    assert again[0].result().change.subject == placed.change.subject
    with pytest.raises(KeyReused):
        execute_orders(api, [Asked(second, "k")], actor="edi", now=NOW)
    orders = select(func.count()).select_from(SalesOrder).where(SalesOrder.ordered_at == NOW)
    assert api.scalar(orders) == 2


def good(session: Session, number: int) -> list[PlaceOrder]:
    customer = session.scalars(select(Customer.code).where(Customer.status == "active").order_by(Customer.code)).first()
    skus = session.scalars(select(Item.sku).where(Item.status == "active", Item.uom == "EA").order_by(Item.sku)).all()
    return [
        PlaceOrder(customer=str(customer), lines=[NewLine(sku=skus[i], quantity=Decimal(1))]) for i in range(number)
    ]


def test_only_history_brings_numbers_of_our_own_series(api: Session) -> None:
    own = good(api, 1)[0].model_copy(update={"number": "SO-999999"})
    assert execute_orders(api, [Asked(own, "k")], actor="edi", now=NOW)[0].problems[0].code == "number_reserved"
    assert execute_orders(api, [Asked(own, "k")], actor="import", now=NOW)[0].problems == ()


def test_an_order_like_one_of_yesterday_is_held_as_a_duplicate(api: Session) -> None:
    order = good(api, 1)[0]
    execute(api, order, key="a", actor="edi", now=NOW)
    near = order.model_copy(update={"lines": [order.lines[0].model_copy(update={"quantity": Decimal("1.05")})]})
    change = execute(api, near, key="b", actor="edi", now=NOW)
    assert "duplicate" in change.change.after["holds"]  # type: ignore[index]


def at_once(number: int, work: Callable[[int], None]) -> list[BaseException]:
    """Run `work(0..number-1)` in threads that start together."""
    start, failures = threading.Barrier(number), []

    def run(position: int) -> None:
        start.wait()
        try:
            work(position)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def test_eight_at_once_never_oversell_an_item(database: str) -> None:
    with db.transaction(db.API) as session:
        order = good(session, 1)[0]
        sku = order.lines[0].sku
        for level in session.scalars(select(StockLevel).where(StockLevel.sku == sku)):
            on_the_shelf(session, level.warehouse, sku, int(level.quantity_allocated) + 10)

    def place(position: int) -> None:
        for turn in range(6):
            with db.transaction(db.API) as session:
                line = order.lines[0].model_copy(update={"quantity": Decimal(1 + (position + turn) % 3)})
                own = order.model_copy(update={"lines": [line], "customer_po": f"P{position}-{turn}"})
                execute(session, own, key=f"race:{position}:{turn}", actor="edi", now=NOW)

    assert at_once(8, place) == []
    with db.reading(db.API) as session:
        for level in session.scalars(select(StockLevel).where(StockLevel.sku == sku)):
            assert level.quantity_allocated <= level.quantity_on_hand
        books_are_right(session)


def test_eight_at_once_never_overshoot_a_credit_limit(database: str) -> None:
    with db.transaction(db.API) as session:
        order = good(session, 1)[0]
        item = session.get_one(Item, order.lines[0].sku)
        for level in session.scalars(select(StockLevel).where(StockLevel.sku == item.sku)):
            on_the_shelf(session, level.warehouse, item.sku, int(level.quantity_on_hand) + 100_000)
        customer = session.get_one(Customer, order.customer)
        account = session.get_one(CustomerAccount, order.customer)
        owed = session.execute(
            text(
                "SELECT coalesce(sum(amount - amount_settled), 0) FROM invoice WHERE customer = :c AND paid_at IS NULL"
            ),
            {"c": customer.code},
        ).scalar_one()
        customer.credit_limit = limit = account.open_orders + owed + item.list_price * 25

    def place(position: int) -> None:
        for turn in range(5):
            with db.transaction(db.API) as session:
                line = order.lines[0].model_copy(update={"quantity": Decimal(2 + (position + turn) % 4)})
                own = order.model_copy(update={"lines": [line], "customer_po": f"C{position}-{turn}"})
                execute(session, own, key=f"credit:{position}:{turn}", actor="edi", now=NOW)

    assert at_once(8, place) == []
    with db.reading(db.API) as session:
        books_are_right(session)
        released = (
            select(func.coalesce(func.sum(OrderLine.unit_price * OrderLine.quantity_ordered), 0))
            .join(SalesOrder, SalesOrder.number == OrderLine.order_number)
            .where(SalesOrder.customer == order.customer, SalesOrder.status == "released", SalesOrder.ordered_at == NOW)
        )
        new = session.scalar(released)
        assert new is not None
        assert account.open_orders + owed + new <= limit
        assert new > 0
        assert session.scalar(select(func.count()).select_from(Allocation)) is not None
