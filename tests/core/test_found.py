"""Defects that were found once and stay closed: each test is the way somebody got, or nearly got, around a rule."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import select, text

from erp_core import policy
from erp_core.actions import execute
from erp_core.commands import (
    COMMAND,
    AmendOrder,
    CancelOrder,
    ConfirmPick,
    ConfirmShipment,
    CreditReturn,
    ExpediteOrder,
    HandledLine,
    LineChange,
    NewLine,
    PlaceHold,
    PlaceOrder,
    ReceiveReturn,
    ReleaseHold,
    ReportCount,
    RequestReturn,
    ReturnedLine,
    ReturnToShelf,
    SaveCustomer,
    SetUnit,
)
from erp_core.db import Session
from erp_core.queries.subjects import sales, subject_of
from erp_core.tables.billing import CreditMemo, Invoice
from erp_core.tables.fulfilment import Shipment
from erp_core.tables.parties import Customer
from erp_core.tables.returns import Return
from erp_core.values import HoldReason, ReturnReason
from tests.conftest import TODAY
from tests.core.books import books_are_right
from tests.core.test_order_to_cash import World, on_the_shelf, refused


@pytest.fixture
def world(api: Session) -> World:
    return World(api)


def placed(world: World, **line: Any) -> str:
    world.turn += 1
    new = NewLine(**{"sku": "T-1", "quantity": Decimal(1), **line})
    asked = PlaceOrder(customer="T1", warehouse=world.warehouse, customer_po=f"F{world.turn}", lines=[new])
    at = TODAY - timedelta(days=8 * world.turn)
    return execute(world.session, asked, key=f"f:{world.turn}", actor="edi", now=at).change.subject.removeprefix(
        "sales_order:"
    )


def test_a_price_released_for_one_piece_is_not_released_for_a_thousand(world: World) -> None:
    order = placed(world, unit_price=Decimal("0.01"))
    for reason in (HoldReason.PRICE, HoldReason.MARGIN):
        world.run(ReleaseHold(order=order, line=1, reason=reason))
    assert world.status(order) == "released"
    world.run(AmendOrder(order=order, changes=[LineChange(line=1, quantity=Decimal(90))]))
    assert world.holds(order) == ["price", "margin"]


def test_a_small_price_makes_no_small_order(world: World) -> None:
    line = NewLine(sku="T-1", quantity=Decimal(50_000), unit_price=Decimal(0))
    asked = subject_of(world.session, PlaceOrder(customer="T1", lines=[line]))
    assert asked.amount == Decimal("500000.00")
    order = placed(world, quantity=Decimal(50), unit_price=Decimal("0.01"))
    release = ReleaseHold(order=order, line=1, reason=HoldReason.PRICE)
    assert subject_of(world.session, release).amount == Decimal("500.00")


def test_an_unusual_order_does_not_become_usual_by_being_there(world: World) -> None:
    on_the_shelf(world.session, world.warehouse, "T-1", 9999)
    world.session.get_one(Customer, "T1").credit_limit = Decimal(10**6)
    for _ in range(3):
        world.order(10)
    huge = world.order(1000)
    assert "abnormal" in world.holds(huge)
    world.run(ExpediteOrder(order=huge))
    assert "abnormal" in world.holds(huge)


def test_blocking_a_customer_stops_what_has_not_left(world: World) -> None:
    order = world.order(10)
    world.run(SaveCustomer(customer="T1", status="blocked"))
    assert world.holds(order) == ["credit"]
    assert world.status(order) == "allocated"


def test_goods_go_only_to_addresses_that_are_the_customers(world: World) -> None:
    order = world.order(1)
    world.run(AmendOrder(order=order, ship_to="17 Elsewhere Road"))
    assert world.holds(order) == ["address"]
    world.session.execute(
        text("INSERT INTO ship_to (customer, name, address, country) VALUES ('T1', 'Dock 9', '9 Harbor Way', 'US')")
    )
    world.run(AmendOrder(order=order, ship_to="dock 9"))
    assert world.holds(order) == []


def test_an_unknown_tax_rate_keeps_the_bill_and_breaks_nothing(world: World) -> None:
    order = world.order(10)
    world.session.execute(
        text("UPDATE entity SET country = 'ZZ' WHERE code = (SELECT entity FROM customer WHERE code = 'T1')")
    )
    world.session.execute(text("UPDATE customer SET tax_exempt = false WHERE code = 'T1'"))
    world.session.execute(text("UPDATE sales_order SET ship_to_country = 'ZZ' WHERE number = :o"), {"o": order})
    world.session.expire_all()
    world.ship(order, 10)
    assert world.status(order) == "shipped"
    case = world.open_case("invoice_hold")
    assert case is not None
    assert "no tax rate" in case.title


@pytest.mark.parametrize("moment", ["2026-06-15T12:00:00", "yesterday"])
def test_a_time_without_a_zone_is_refused(moment: str) -> None:
    with pytest.raises(ValidationError):
        COMMAND.validate_python({"type": "confirm_delivery", "shipment": "S", "occurred_at": moment})


def test_what_is_reported_of_tomorrow_is_refused(world: World) -> None:
    order = world.order(1)
    late = ConfirmPick(order=order, warehouse=world.warehouse, occurred_at=TODAY + timedelta(days=400))
    assert refused(world, late) == ["from_the_future"]


def test_a_line_is_said_once(world: World) -> None:
    twice = [HandledLine(line=1, quantity=Decimal(1)), HandledLine(line=1, quantity=Decimal(1))]
    with pytest.raises(ValidationError, match="named twice"):
        ConfirmShipment(shipment="S", order="O", warehouse="W", lines=twice, occurred_at=TODAY)


def test_a_bill_that_a_hold_kept_back_is_made_with_the_next_or_when_the_hold_goes(world: World) -> None:
    order = world.order(10)
    world.run(PlaceHold(order=order, reason=HoldReason.TAX, note="certificate"))
    world.ship(order, 4, last=False)
    assert world.session.scalars(select(Invoice).where(Invoice.order_number == order)).all() == []
    world.run(ReleaseHold(order=order, reason=HoldReason.TAX))
    assert world.invoice(order).amount == Decimal("40.00")
    world.ship(order, 6, "SH-T2")
    assert world.status(order) == "invoiced"


def test_part_of_a_case_is_shipped_and_billed_exactly(world: World) -> None:
    order = placed(world, quantity=Decimal(2), uom="CS")
    world.ship(order, 7, last=False)
    world.ship(order, 8, "SH-T2", last=False)
    world.run(CancelOrder(order=order))
    assert world.status(order) == "invoiced"
    bills = world.session.scalars(select(Invoice.amount).where(Invoice.order_number == order)).all()
    assert sorted(bills) == [Decimal("70.00"), Decimal("80.00")]
    line = sales.order(world.session, order).lines[0]
    assert line.quantity_base == line.quantity_invoiced == 15


def test_nothing_that_left_makes_no_shipment_and_no_bill(world: World) -> None:
    order = world.order(5)
    world.ship(order, 0)
    assert world.session.get(Shipment, "SH-T1") is None
    assert world.session.scalars(select(Invoice).where(Invoice.order_number == order)).all() == []
    assert world.level() == (100, 5, 5)  # five were not found, five others are bound instead


def test_a_free_order_leaves_no_debt_that_cannot_be_paid(world: World) -> None:
    order = placed(world, unit_price=Decimal(0))
    for reason in (HoldReason.PRICE, HoldReason.MARGIN):
        world.run(ReleaseHold(order=order, line=1, reason=reason))
    world.ship(order, 1)
    assert world.invoice(order).paid_at is not None


def test_what_is_billed_counts_once_against_the_limit(world: World) -> None:
    world.session.get_one(Customer, "T1").credit_limit = Decimal(1000)
    order = world.order(80)
    world.ship(order, 50, last=False)
    world.run(ExpediteOrder(order=order))
    assert world.holds(order) == []


def test_a_unit_that_changes_does_not_change_what_was_ordered(world: World) -> None:
    order = placed(world, quantity=Decimal(1), uom="CS")
    world.run(SetUnit(sku="T-1", uom="CS", numerator=24))
    world.run(ExpediteOrder(order=order))
    assert world.level() == (100, 12, 0)


def test_a_shortage_counted_twice_is_held_once(world: World) -> None:
    for _ in range(2):
        world.run(ReportCount(warehouse=world.warehouse, sku="T-1", counted=Decimal(95), occurred_at=TODAY))
    assert world.level() == (100, 0, 5)


def test_a_held_order_that_was_picked_can_be_put_back(world: World) -> None:
    order = world.order(10)
    world.run(ConfirmPick(order=order, warehouse=world.warehouse, occurred_at=TODAY))
    world.run(PlaceHold(order=order, reason=HoldReason.MANUAL, note="stop"))
    world.run(ReturnToShelf(order=order, warehouse=world.warehouse, occurred_at=TODAY))
    world.run(CancelOrder(order=order))
    assert world.level() == (100, 0, 0)


def test_a_return_is_credited_over_all_bills_with_their_tax_and_only_once(world: World) -> None:
    world.session.get_one(Customer, "T1").tax_exempt = False
    assert policy.shipped().tax_percent["US"] == 0
    order = world.order(12)
    world.ship(order, 10, last=False)
    world.ship(order, 2, "SH-T2")
    world.session.execute(
        text("UPDATE invoice SET tax = amount * 0.2, amount = amount * 1.2 WHERE order_number = :o"), {"o": order}
    )
    world.session.expire_all()
    for quantity in (5, 7):
        lines = [ReturnedLine(line=1, quantity=Decimal(quantity))]
        world.run(RequestReturn(order=order, reason=ReturnReason.DAMAGED, lines=lines))
        number = world.session.scalars(select(Return.number).order_by(Return.number.desc())).first()
        world.run(ReceiveReturn(return_number=str(number), warehouse=world.warehouse, lines=lines))
        world.run(CreditReturn(return_number=str(number)))
    given = world.session.scalars(select(CreditMemo.amount)).all()
    assert sum(given) == Decimal("144.00")
    assert refused(world, RequestReturn(order=order, reason=ReturnReason.DAMAGED, lines=lines)) == [
        "more_than_delivered"
    ]
    books_are_right(world.session)
