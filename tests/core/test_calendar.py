"""Facts that change from outside or by the calendar alone: finance reports, debts fall overdue, waivers end, promises fail."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from erp_core import policy
from erp_core.actions import calendar
from erp_core.commands import (
    AmendOrder,
    CancelOrder,
    ConfirmPick,
    LineChange,
    PlaceHold,
    PromiseDate,
    ReleaseHold,
    ReportCredit,
    RequestChange,
)
from erp_core.db import Session
from erp_core.queries import billing, quality
from erp_core.queries.order_page import order_page
from erp_core.tables.desk import Case
from erp_core.tables.parties import Customer
from erp_core.tables.sales import Hold, SalesOrder
from tests.conftest import TODAY
from tests.core.books import books_are_right
from tests.core.test_order_to_cash import World, refused

POLICY = policy.shipped()


@pytest.fixture
def world(api: Session) -> World:
    made = World(api)
    assert not calendar.turn(api, TODAY)  # from here on the days are counted
    return made


def days_later(world: World, days: int) -> None:
    while calendar.turn(world.session, TODAY + timedelta(days=days)):
        pass
    world.session.expire_all()
    books_are_right(world.session)


def report(standing: str, hours_ago: int = 0, **more: object) -> ReportCredit:
    return ReportCredit(customer="T1", standing=standing, as_of=TODAY - timedelta(hours=hours_ago), **more)  # type: ignore[arg-type]


def test_what_finance_reports_stops_orders_and_lets_them_go(world: World) -> None:
    order = world.order(10)
    world.run(report("stop", 3))
    assert (world.status(order), world.holds(order)) == ("allocated", ["credit"])
    assert world.holds(world.order(5)) == ["credit"]
    world.run(report("good", 2))
    assert (world.status(order), world.holds(order)) == ("released", [])


def test_debts_in_other_books_count_against_the_limit(world: World) -> None:
    world.run(report("good", 1, owed_elsewhere=Decimal("9950")))
    assert world.holds(world.order(10)) == ["credit"]
    assert billing.exposure(world.session, "T1", TODAY.date()).total == Decimal("10050.00")


def test_an_older_report_changes_nothing_and_one_of_tomorrow_is_refused(world: World) -> None:
    world.run(report("good", 1))
    world.run(report("stop", 2))
    assert world.session.get_one(Customer, "T1").credit_standing == "good"
    assert refused(world, report("stop", -1)) == ["from_the_future"]


def test_the_order_page_says_when_a_report_is_stale(world: World) -> None:
    order = world.order(1)
    world.run(report("good", POLICY.credit.report_hours - 1))
    assert not order_page(world.session, order, POLICY, TODAY).credit.stale
    later = TODAY + timedelta(hours=2)
    assert order_page(world.session, order, POLICY, later).credit.stale


def test_an_order_stops_on_the_day_a_debt_becomes_too_old(world: World) -> None:
    shipped, waiting = world.order(10), world.order(5)
    world.ship(shipped, 10)
    last_good_day = 30 + POLICY.credit.overdue_days  # terms of 30 days
    days_later(world, last_good_day)
    assert world.holds(waiting) == []
    days_later(world, last_good_day + 1)
    assert (world.status(waiting), world.holds(waiting)) == ("allocated", ["credit"])


def test_an_order_stops_when_its_customers_limit_runs_out_and_a_picked_one_goes(world: World) -> None:
    waiting, picked = world.order(5), world.order(3)
    world.run(ConfirmPick(order=picked, warehouse=world.warehouse, occurred_at=TODAY))
    world.session.get_one(Customer, "T1").limit_expires = TODAY.date() + timedelta(days=3)
    days_later(world, 3)
    assert world.holds(waiting) == []
    days_later(world, 4)
    assert (world.holds(waiting), world.holds(picked)) == (["credit"], [])


def test_a_waiver_that_ran_out_no_longer_lets_the_order_go(world: World) -> None:
    world.session.get_one(Customer, "T1").credit_limit = Decimal(50)
    order = world.order(10)
    world.run(ReleaseHold(order=order, reason="credit"))
    assert world.status(order) == "released"
    hold = world.session.scalars(select(Hold).where(Hold.order_number == order, Hold.reason == "credit")).one()
    assert hold.waived_until is not None
    days_later(world, (hold.waived_until - TODAY).days + 1)
    assert world.holds(order) == ["credit"]


def test_a_day_that_was_looked_at_is_not_looked_at_again(world: World) -> None:
    order = world.order(1)
    days_later(world, 5)
    version = world.session.get_one(SalesOrder, order).version
    days_later(world, 5)
    assert world.session.get_one(SalesOrder, order).version == version


def recovery(world: World, days: int) -> Case | None:
    calendar.recover(world.session, TODAY + timedelta(days=days))
    return world.open_case("service_recovery")


def test_a_promise_that_failed_becomes_a_case_with_what_can_still_be_done(world: World) -> None:
    order = world.order(10)
    world.run(PromiseDate(order=order, promised_date=TODAY.date() + timedelta(days=2)))
    world.run(PlaceHold(order=order, reason="manual", note="wait for the buyer"))
    assert recovery(world, 2) is None
    case = recovery(world, 3)
    assert case is not None
    assert (case.queue, case.order_number, case.at_stake) == ("customer_service", order, Decimal("100.00"))
    assert "wait for the buyer" in str(case.details["problems"])
    assert calendar.recover(world.session, TODAY + timedelta(days=4)) == 0  # once a promise
    world.run(CancelOrder(order=order))
    assert world.open_case("service_recovery") is None


def test_recovery_ends_when_the_goods_have_gone(world: World) -> None:
    order = world.order(10)
    world.run(PromiseDate(order=order, promised_date=TODAY.date()))
    assert recovery(world, 1) is not None
    world.ship(order, 10)
    assert world.open_case("service_recovery") is None


def test_a_late_change_says_what_it_costs(world: World) -> None:
    order = world.order(10)
    world.run(ConfirmPick(order=order, warehouse=world.warehouse, occurred_at=TODAY))
    amend = AmendOrder(order=order, changes=[LineChange(line=1, quantity=Decimal(4))])
    assert world.run(RequestChange(change=amend))["cost"] == str(POLICY.changes.reshelve_per_line)
    world.ship(order, 10)
    percent = POLICY.changes.return_freight_percent + POLICY.returns.restocking_percent["no_longer_needed"]  # type: ignore[index]
    asked = world.run(RequestChange(change=CancelOrder(order=order)))
    assert Decimal(asked["cost"]) == 100 * percent / 100
    case = world.session.scalars(select(Case).where(Case.kind == "order_change")).one()
    assert case.details["cost"] == asked["cost"]


def test_names_much_alike_are_defects_of_master_data(world: World) -> None:
    same = dict.fromkeys(("entity",), world.session.get_one(Customer, "T1").entity)
    for code, name in (("T8", "Harbor Plumbing Supply"), ("T9", "Supply, Harbor Plumbing")):
        world.session.add(
            Customer(**same, code=code, name=name, tier="C", payment_terms_days=0, credit_limit=1, currency="USD", country="US", status="active")
        )  # fmt: skip
    world.session.flush()
    found = next(d for d in quality.domains(world.session, POLICY.stewards) if d.name == "customers")
    assert {"T8", "T9"} <= set(found.defects["a name much like another's"][1])
