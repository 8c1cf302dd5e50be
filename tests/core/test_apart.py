"""Duties kept apart on one document: whose hands were on one side are refused on the other; anybody else's are not."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from erp_core.actions import execute
from erp_core.commands import (
    AuthoriseReturn,
    ConfirmPick,
    ConfirmShipment,
    CreditReturn,
    HandledLine,
    IssueCreditMemo,
    NewLine,
    PlaceHold,
    PlaceOrder,
    ReceiveReturn,
    ReleaseHold,
    RequestReturn,
    ReturnedLine,
    SaveCustomer,
    SetCreditLimit,
    SetPrice,
)
from erp_core.db import Session
from erp_core.errors import RuleViolation
from erp_core.tables.billing import Invoice
from erp_core.values import HoldReason, ReturnReason
from tests.conftest import TODAY
from tests.core.test_order_to_cash import World, on_the_shelf

ONE, OTHER = "one@x.example", "other@x.example"


@pytest.fixture
def world(api: Session) -> World:
    made = World(api)
    on_the_shelf(api, made.warehouse, "T-1", 500)
    return made


def by(world: World, actor: str, command: Any, at: Any = TODAY, **facts: Any) -> str:
    world.turn += 1
    result = execute(world.session, command, key=f"a:{world.turn}", actor=actor, now=at, facts=facts or None)
    return result.change.subject.split(":", 1)[1]


def refused(world: World, command: Any, at: Any = TODAY) -> None:
    """For who did the one, alone or as a first signer; not for anybody else."""
    for actor, facts in ((ONE, {}), (OTHER, {"signers": [ONE, OTHER]})):
        with pytest.raises(RuleViolation) as told, world.session.begin_nested():
            by(world, actor, command, at, **facts)
        assert [p.code for p in told.value.problems] == ["segregation_of_duties"]
        assert ONE in str(told.value)
    by(world, OTHER, command, at)


def placed(world: World, actor: str = "edi", quantity: int = 5) -> str:
    world.turn += 1
    lines = [NewLine(sku="T-1", quantity=Decimal(quantity))]
    return by(
        world,
        actor,
        PlaceOrder(customer="T1", customer_po=f"A{world.turn}", warehouse=world.warehouse, lines=lines),
    )


def shipped(world: World, order: str, quantity: int) -> None:
    where = {"order": order, "warehouse": world.warehouse, "occurred_at": TODAY}
    by(world, "wms", ConfirmPick(**where))
    by(
        world,
        "wms",
        ConfirmShipment(shipment=f"S-{order}", lines=[HandledLine(line=1, quantity=Decimal(quantity))], **where),
    )


def limit(value: int) -> SetCreditLimit:
    return SetCreditLimit(customer="T1", credit_limit=Decimal(value))


def test_who_sets_a_limit_neither_releases_the_hold_nor_enters_orders(world: World) -> None:
    order = placed(world)
    by(world, "finance@x.example", PlaceHold(order=order, reason=HoldReason.CREDIT, note="x"))
    by(world, ONE, limit(20_000))
    refused(world, ReleaseHold(order=order, reason=HoldReason.CREDIT, note="fine now"))
    refused(world, PlaceOrder(customer="T1", customer_po="new", lines=[NewLine(sku="T-1", quantity=Decimal(1))]))


def test_after_some_days_the_hands_are_free_again(world: World) -> None:
    by(world, ONE, limit(20_000), TODAY - timedelta(days=8))
    placed(world, ONE)


def test_who_sets_a_price_does_not_approve_a_special_one(world: World) -> None:
    order = placed(world)
    by(world, "finance@x.example", PlaceHold(order=order, line=1, reason=HoldReason.PRICE, note="x"))
    by(world, ONE, SetPrice(customer="T1", sku="T-1", unit_price=Decimal(9), valid_from=TODAY.date()))
    refused(world, ReleaseHold(order=order, line=1, reason=HoldReason.PRICE, note="agreed"))


def test_who_keeps_a_customer_enters_no_order_for_it(world: World) -> None:
    by(world, ONE, SaveCustomer(customer="T1", name="Test One and Sons"))
    refused(world, PlaceOrder(customer="T1", customer_po="new", lines=[NewLine(sku="T-1", quantity=Decimal(1))]))


def test_who_enters_an_order_neither_ships_it_nor_gives_its_money_back(world: World) -> None:
    order = placed(world, ONE)
    where = {"order": order, "warehouse": world.warehouse, "occurred_at": TODAY}
    by(world, "wms", ConfirmPick(**where))
    refused(world, ConfirmShipment(shipment="S-1", lines=[HandledLine(line=1, quantity=Decimal(5))], **where))
    invoice = world.session.execute(_invoice(order)).scalar_one()
    refused(world, IssueCreditMemo(invoice=invoice, amount=Decimal(5), reason="goodwill"))


def _invoice(order: str) -> Any:
    return select(Invoice.number).where(Invoice.order_number == order)


def test_who_authorises_a_return_does_not_credit_it(world: World) -> None:
    order = placed(world, quantity=60)  # worth more than the rules authorise by themselves
    shipped(world, order, 60)
    number = by(
        world,
        "cs",
        RequestReturn(order=order, reason=ReturnReason.DAMAGED, lines=[ReturnedLine(line=1, quantity=Decimal(60))]),
    )
    by(world, ONE, AuthoriseReturn(return_number=number))
    by(
        world,
        "wms",
        ReceiveReturn(
            return_number=number, warehouse=world.warehouse, lines=[ReturnedLine(line=1, quantity=Decimal(60))]
        ),
    )
    refused(world, CreditReturn(return_number=number))
