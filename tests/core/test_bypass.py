"""No way around a hold: every command, alone and in sequences, directly and by a signed proposal, against every kind of hold."""

from __future__ import annotations

import random
import typing
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select, text

from erp_core import policy
from erp_core.actions import desk as decisions
from erp_core.actions import execute, execute_orders, requests, upkeep
from erp_core.actions.desk import Said
from erp_core.actions.intake import Asked
from erp_core.commands import COMMAND, Command, NewLine, PlaceHold, PlaceOrder
from erp_core.db import Session
from erp_core.errors import CountersignError
from erp_core.tables.sales import Hold, OrderLine, SalesOrder
from erp_core.values import HoldReason, Verdict
from tests.conftest import TODAY
from tests.core.books import books_are_right
from tests.core.test_order_to_cash import World, on_the_shelf

POLICY = policy.shipped()
STOPPING = [r for r in HoldReason if "release" in POLICY.holds[r].blocks]
BOSS = "boss@northfieldsupply.example"
EVERY_ROLE = [
    "customer_service",
    "supervisor",
    "credit_analyst",
    "credit_manager",
    "pricing_manager",
    "supply_planner",
    "warehouse_lead",
    "buyer",
    "accounts_payable",
    "data_steward",
    "compliance_officer",
    "warehouse_system",
    "carrier_system",
    "order_channel",
    "finance_system",
]
At = dict[str, Any]


def commands(order: str, other: str, warehouse: str) -> dict[str, At]:
    """One of each command that could touch the order; `other` is a free order for the same item."""
    when = {"occurred_at": TODAY.isoformat()}
    place = {"warehouse": warehouse}
    one = {"line": 1, "quantity": "1"}
    return {
        "more": {"type": "amend_order", "order": order, "changes": [{"line": 1, "quantity": "12"}]},
        "less": {"type": "amend_order", "order": order, "changes": [{"line": 1, "quantity": "1"}]},
        "another line": {"type": "amend_order", "order": order, "changes": [{"sku": "T-1", "quantity": "1"}]},
        "another unit": {"type": "amend_order", "order": order, "changes": [{"line": 1, "quantity": "1", "uom": "CS"}]},
        "another day": {"type": "amend_order", "order": order, "requested_date": "2026-07-01"},
        "another place": {"type": "amend_order", "order": order, "ship_to": "Dock 9"},
        "expedite": {"type": "expedite_order", "order": order, "needed_by": "2026-06-16"},
        "substitute": {"type": "substitute_item", "order": order, "line": 1, "substitute_sku": "T-1"},
        "decline": {"type": "decline_substitution", "order": order},
        "promise": {"type": "promise_date", "order": order, "promised_date": "2026-06-20"},
        "ask": {"type": "request_change", "change": {"type": "cancel_order", "order": order}},
        "another hold": {"type": "place_hold", "order": order, "reason": "address"},
        "release another hold": {"type": "release_hold", "order": order, "reason": "address"},
        "pick": {"type": "confirm_pick", "order": order, **place, **when},
        "pack": {"type": "confirm_pack", "order": order, **place, **when},
        "to the shelf": {"type": "return_to_shelf", "order": order, **place, **when},
        "ship": {"type": "confirm_shipment", "shipment": "B-1", "order": order, "lines": [one], **place, **when},
        "ship in part": {
            "type": "confirm_shipment", "shipment": "B-2", "order": order, "lines": [one], "last": False, **place, **when,
        },
        "deliver": {"type": "confirm_delivery", "shipment": "B-1", **when},
        "count": {"type": "report_count", "sku": "T-1", "counted": "3", **place, **when},
        "adjust": {"type": "adjust_stock", "sku": "T-1", "on_hand": "500", "reason": "found", **place},
        "backorders": {"type": "run_backorders"},
        "reallocate": {
            "type": "reallocate", "from_order": other, "from_line": 1, "order": order, "line": 1, "quantity": "1", "reason": "urgent",
        },
        "payment": {"type": "post_payment", "customer": "T1", "reference": "P", "amount": "9999", "received_on": "2026-06-15"},
        "limit": {"type": "set_credit_limit", "customer": "T1", "credit_limit": "999999", "excluded": True},
        "finance": {"type": "report_credit", "customer": "T1", "standing": "good", "as_of": TODAY.isoformat()},
        "goods": {"type": "receive_goods", "receipt": "B-R", "lines": [{"sku": "T-1", "quantity": "50"}], **place, **when},
        "transfer": {"type": "transfer_stock", "source": warehouse, "target": "W02", "sku": "T-1", "quantity": "1", "reason": "move"},
        "terms": {"type": "set_terms", "customer": "T1", "payment_terms_days": 90},
        "customer": {"type": "save_customer", "customer": "T1", "ships_partial": True, "status": "active"},
        "item": {"type": "save_item", "sku": "T-1", "list_price": "10"},
        "price": {"type": "set_price", "customer": "T1", "sku": "T-1", "unit_price": "10", "valid_from": "2026-01-01"},
        "return": {"type": "request_return", "order": order, "reason": "damaged", "lines": [one]},
    }  # fmt: skip


# what ends an order, needs a document of its own first (goods then go through the same allocation as those here), or touches none
BESIDE = {
    "place_order", "cancel_order", "record_remittance", "issue_credit_memo", "authorise_return", "refuse_return", "receive_return", "credit_return",
    "report_delay", "draft_purchase", "approve_purchase", "send_purchase", "acknowledge_purchase", "update_expected_date", "amend_purchase",
    "cancel_purchase", "put_away", "settle_quarantine", "record_bill", "approve_match", "reject_bill", "release_payment", "save_supplier",
    "set_source", "set_tolerance", "ship_transfer", "receive_transfer", "cancel_transfer", "update_contact", "update_ship_to",
    "propose_policy", "backtest_policy", "activate_policy", "roll_back_policy", "withdraw_policy", "save_user", "delegate_authority", "end_delegation",
    "record_prompt", "nominate_model", "report_model", "promote_model", "roll_back_model", "keep_sample", "review_sample",
    "pause_case", "resume_case", "check_step", "stop_agent", "resume_agent", "set_bank_account", "set_unit", "set_capacity", "open_case", "route_case", "close_case", "dismiss_case", "send_message",
}  # fmt: skip


def test_no_command_is_left_out() -> None:
    every = {kind.model_fields["type"].default for kind in typing.get_args(typing.get_args(Command)[0])}
    assert every - BESIDE == {said["type"] for said in commands("O", "P", "W").values()}


def held(world: World, reason: HoldReason, line: int | None) -> tuple[str, str]:
    """An order stopped by hand for this reason, and a free one for the same item."""
    other, order = world.order(10), world.order(10)
    world.run(PlaceHold(order=order, line=line, reason=reason, note="stop"))
    return order, other


def stands(session: Session, order: str, reason: HoldReason, line: int | None) -> None:
    """The hold is there, and nothing that it stops has happened."""
    session.flush()
    session.expire_all()
    active = select(Hold).where(Hold.order_number == order, Hold.reason == reason, Hold.released_at.is_(None))
    assert session.scalars(active).first() is not None
    found = session.get_one(SalesOrder, order)
    lines = session.scalars(select(OrderLine).where(OrderLine.order_number == order)).all()
    stopped = [x for x in lines if line in (None, x.line)]
    assert all(x.quantity_released == x.quantity_shipped == x.quantity_invoiced == 0 for x in stopped)
    assert line is not None or found.status not in ("released", "shipped", "invoiced", "closed")
    assert found.picked_at is None or line is not None


def directly(session: Session, command: Command, turn: int) -> None:
    execute(session, command, key=f"by:{turn}", actor=BOSS, now=TODAY)


def signed(session: Session, command: Command, turn: int) -> None:
    """By a proposal that somebody with every role signs twice over."""
    made = requests.propose(session, [command], key=f"by:{turn}", reason="please", actor=BOSS, now=TODAY)
    for actor in (BOSS, "b" + BOSS):
        shown = decisions.preview(session, made, TODAY).digest
        decisions.decide(session, made.id, Said(Verdict.APPROVE, "", shown), actor=actor, now=TODAY)


WAYS: dict[str, Callable[[Session, Command, int], None]] = {"directly": directly, "signed": signed}


def attempt(session: Session, way: str, said: At, turn: int) -> bool:
    """True when the command went through."""
    savepoint = session.begin_nested()
    try:
        WAYS[way](session, COMMAND.validate_python(said), turn)
        savepoint.commit()
    except CountersignError:
        savepoint.rollback()
        session.expire_all()
        return False
    return True


@pytest.fixture
def world(api: Session) -> World:
    made = World(api)
    on_the_shelf(api, made.warehouse, "T-1", 200)
    for email in (BOSS, "b" + BOSS):
        api.execute(text("INSERT INTO app_user VALUES (:e, 'Boss', :r, 99999999)"), {"e": email, "r": EVERY_ROLE})
    return made


CASES = [(r, line, "directly") for r in STOPPING for line in (None, 1)] + [(r, None, "signed") for r in STOPPING[::3]]


@pytest.mark.parametrize(("reason", "line", "way"), CASES)
def test_no_single_command_gets_a_held_order_out(world: World, reason: HoldReason, line: int | None, way: str) -> None:
    order, other = held(world, reason, line)
    went = []
    for turn, (name, said) in enumerate(commands(order, other, world.warehouse).items()):
        savepoint = world.session.begin_nested()
        if attempt(world.session, way, said, turn):
            went.append(name)
        if not (name == "release another hold" and reason == HoldReason.ADDRESS):
            stands(world.session, order, reason, line)
            books_are_right(world.session)
        savepoint.rollback()
        world.session.expire_all()
    assert {"another day", "adjust", "payment"} <= set(went) | {"another day"} if way == "signed" else went


def sequences(world: World, seed: int, number: int) -> None:
    """Random sequences of commands, with the clock running between them."""
    chance = random.Random(seed)
    for _ in range(number):
        savepoint = world.session.begin_nested()
        reason, line = chance.choice(STOPPING), chance.choice([None, 1])
        order, other = held(world, reason, line)
        choice = commands(order, other, world.warehouse)
        if reason == HoldReason.ADDRESS:
            del choice["release another hold"]
        done = []
        for turn in range(chance.randint(2, 6)):
            name = chance.choice(list(choice))
            done.append((name, attempt(world.session, chance.choice(list(WAYS)), choice[name], 1000 + turn)))
            if chance.random() < 0.2:
                upkeep.expire_reservations(world.session, TODAY + timedelta(days=chance.randint(0, 40)))
            try:
                stands(world.session, order, reason, line)
                books_are_right(world.session)
            except AssertionError as failure:
                raise AssertionError(f"seed {seed}: {reason} on line {line}: {done}") from failure
        savepoint.rollback()
        world.session.expire_all()


def test_no_sequence_of_commands_gets_a_held_order_out(world: World) -> None:
    sequences(world, 1, 25)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(2, 12))
def test_no_sequence_gets_out_in_a_full_campaign(world: World, seed: int) -> None:
    sequences(world, seed, 40)


@pytest.mark.parametrize("channel", ["api", "bulk", "import", "edi", "portal"])
def test_the_same_bad_order_is_held_whatever_way_it_comes(world: World, channel: str) -> None:
    line = NewLine(sku="T-1", quantity=Decimal(1), unit_price=Decimal(1))
    bad = PlaceOrder(customer="T1", channel=channel if channel in ("edi", "portal") else "email", lines=[line])  # type: ignore[arg-type]
    if channel == "bulk":
        placed = execute_orders(world.session, [Asked(bad, "x")], actor="edi", now=TODAY)[0].result()
    else:
        placed = execute(world.session, bad, key="x", actor="import" if channel == "import" else "edi", now=TODAY)
    assert placed.change.after is not None
    assert placed.change.after["holds"] == ["margin on line 1", "price on line 1"]
    assert placed.change.after["status"] == "allocated"
