"""The policy: changed by one, put in force by another, replayed before, rolled back after; each decision keeps its version."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from erp_core import policy
from erp_core.actions import ACTS, calendar, execute, requests
from erp_core.actions import desk as decisions
from erp_core.actions.desk import Said
from erp_core.commands import (
    ActivatePolicy,
    BacktestPolicy,
    NewLine,
    PlaceOrder,
    ProposePolicy,
    ReleaseHold,
    RollBackPolicy,
    WithdrawPolicy,
)
from erp_core.db import Session
from erp_core.errors import CountersignError, NotAuthorised, RuleViolation
from erp_core.queries import backtest, kpis, policies, sales
from erp_core.tables.desk import Case, Decision, JournalEntry, Proposal
from erp_core.tables.parties import Customer
from erp_core.tables.sales import Hold
from erp_core.values import HoldReason, Outcome, Verdict
from tests.conftest import TODAY
from tests.core.test_decisions import file, free_order, to_one
from tests.core.test_order_to_cash import World, on_the_shelf

CARA, IDA, KAY, DEV, MO, AVA = (
    f"{n}@northfieldsupply.example" for n in ("cara.lim", "ida.marsh", "kay.dunn", "dev.rao", "mo.adair", "ava.stone")
)
NUMBERS, AUTHORITY = policy.texts()
TOLERANT = NUMBERS.replace('tolerance_percent = "0"  ', 'tolerance_percent = "5"  ')


def propose(session: Session, numbers: str = TOLERANT, authority: str = AUTHORITY, actor: str = CARA) -> int:
    command = ProposePolicy(numbers=numbers, authority=authority, summary="tolerance of five percent")
    result = requests.act(session, command, key=f"p:{actor}:{hash((numbers, authority))}", actor=actor, now=TODAY)
    return int(result.change.subject.split(":")[1])


def act(session: Session, command: Any, actor: str, at: Any = TODAY) -> Any:
    return requests.act(session, command, key=f"{command.type}:{actor}:{at}", actor=actor, now=at)


def in_force(session: Session, number: int, at: Any = TODAY) -> None:
    act(session, BacktestPolicy(version=number), IDA, at)
    act(session, ActivatePolicy(version=number, reason="most pay within a week"), IDA, at)


@pytest.fixture
def world(api: Session) -> World:
    """One customer, T1, with a limit of 1,000 of which 500 are used, and goods at 10."""
    made = World(api)
    on_the_shelf(api, made.warehouse, "T-1", 5000)
    api.get_one(Customer, "T1").credit_limit = Decimal(1000)
    api.flush()
    made.order(50)
    return made


def now(world: World, quantity: int) -> str:
    """An order entered today."""
    world.turn += 1
    asked = PlaceOrder(
        customer="T1",
        customer_po=f"N{world.turn}",
        warehouse=world.warehouse,
        lines=[NewLine(sku="T-1", quantity=Decimal(quantity))],
    )
    result = execute(world.session, asked, key=f"n:{world.turn}", actor="edi", now=TODAY)
    return result.change.subject.removeprefix("sales_order:")


def holds(world: World, order: str) -> list[str]:
    query = select(Hold.reason).where(Hold.order_number == order, Hold.released_at.is_(None))
    return list(world.session.scalars(query))


def test_the_file_that_ships_is_the_first_version(api: Session) -> None:
    assert policies.active(api, TODAY) == policy.shipped()
    assert [(r.version.author, r.state) for r in policies.versions(api, TODAY)] == [("shipped", "active")]


def test_a_tolerance_is_proposed_replayed_put_in_force_by_another_and_rolled_back(world: World) -> None:
    session = world.session
    order = now(world, 53)
    assert holds(world, order) == ["credit"]
    number = propose(session)
    act(session, BacktestPolicy(version=number), CARA)
    found = policies.latest_backtest(session, number)
    assert found is not None
    told = {o["order"]: o for o in found.result["orders"]}
    assert told[order]["was"] == ["credit"]
    assert told[order]["would"] == []
    assert told[order]["did"] == "Still held"
    assert Decimal(found.result["totals"]["value_kept_held"]) >= Decimal(530)
    with pytest.raises(NotAuthorised):
        act(session, ActivatePolicy(version=number, reason="I wrote it"), CARA)
    assert policies.active(session, TODAY).hash == policy.shipped().hash
    act(session, ActivatePolicy(version=number, reason="most pay"), IDA)
    assert policies.active(session, TODAY).credit.tolerance_percent == 5
    assert calendar.follow_policy(session, TODAY) is False  # the first look only remembers where it began
    act(session, RollBackPolicy(version=1, reason="too many losses"), KAY, TODAY + timedelta(minutes=1))
    assert policies.active(session, TODAY + timedelta(minutes=1)).hash == policy.shipped().hash


def test_open_orders_are_checked_again_when_the_policy_changes_both_ways(world: World) -> None:
    session = world.session
    calendar.follow_policy(session, TODAY)
    order = now(world, 53)
    in_force(session, propose(session))
    while calendar.follow_policy(session, TODAY):
        pass
    assert holds(world, order) == []
    assert sales.order(session, order).status == "released"
    later = TODAY + timedelta(minutes=1)
    act(session, RollBackPolicy(version=1, reason="back"), IDA, later)
    while calendar.follow_policy(session, later):
        pass
    assert holds(world, order) == ["credit"]
    assert sales.order(session, order).status == "allocated"


def test_a_policy_may_be_put_in_force_from_a_moment_on(world: World) -> None:
    session, number = world.session, propose(world.session)
    act(session, BacktestPolicy(version=number), IDA)
    start = TODAY + timedelta(hours=18)
    act(session, ActivatePolicy(version=number, active_from=start, reason="tomorrow"), IDA)
    assert policies.active(session, start - timedelta(seconds=1)).credit.tolerance_percent == 0
    assert policies.active(session, start).credit.tolerance_percent == 5
    states = {r.version.id: r.state for r in policies.versions(session, TODAY)}
    assert states == {1: "active", number: "scheduled"}


def test_no_version_comes_into_force_unreplayed_in_the_past_or_twice(world: World) -> None:
    session, number = world.session, propose(world.session)
    with pytest.raises(RuleViolation) as told:
        act(session, ActivatePolicy(version=number, active_from=TODAY - timedelta(days=1), reason="now"), IDA)
    assert [p.code for p in told.value.problems] == ["starts_in_past", "backtest_missing"]
    in_force(session, number)
    with pytest.raises(RuleViolation, match="is in force"):
        act(session, ActivatePolicy(version=number, reason="again"), KAY)
    with pytest.raises(RuleViolation, match="never in force"):
        act(session, RollBackPolicy(version=propose(session, TOLERANT + "# x\n")), IDA)


@pytest.mark.parametrize(
    ("numbers", "authority", "place"),
    [
        (
            NUMBERS.replace('tolerance_percent = "0" ', 'tolerance_percent = "-3"'),
            AUTHORITY,
            "credit.tolerance_percent",
        ),
        (NUMBERS.replace("[credit]", "[credit"), AUTHORITY, "numbers"),
        (NUMBERS + "\nnonsense = 1\n", AUTHORITY, "nonsense"),
        (NUMBERS, AUTHORITY.replace('Action::"place_order"', 'Action::"ship_everything"', 1), "authority"),
        (NUMBERS, AUTHORITY.replace("<= principal.limit", "<= principal.wallet", 1), "authority"),
        (NUMBERS, AUTHORITY.replace('@id("O-10")\n', "", 1), "authority"),
        (NUMBERS, AUTHORITY + "permit (principal, action, resource", "authority"),
    ],
)
def test_a_policy_that_cannot_be_used_says_where_and_why(
    api: Session, numbers: str, authority: str, place: str
) -> None:
    with pytest.raises(RuleViolation) as told:
        propose(api, numbers, authority)
    assert place in str(told.value)


def test_a_firm_has_numbers_of_its_own_only_where_policy_lets_it(world: World) -> None:
    session = world.session
    firm = session.get_one(Customer, "T1").entity
    own = NUMBERS + f'\n[local.firms.{firm}.credit]\ntolerance_percent = "10"\n'
    in_force(session, propose(session, own))
    active = policies.active(session, TODAY)
    assert (active.credit.tolerance_percent, active.of(firm).credit.tolerance_percent) == (0, 10)
    assert active.of("elsewhere") is active
    assert holds(world, now(world, 58)) == []
    barred = NUMBERS + f"\n[local.firms.{firm}.orders]\nduplicate_days = 1\n"
    with pytest.raises(RuleViolation, match="is the same for all firms"):
        propose(session, barred)


def decided(world: World) -> Decision:
    order = now(world, 53)
    command = ReleaseHold(order=order, reason=HoldReason.CREDIT, note="paid")
    made = requests.propose(world.session, [command], key=order, reason="please", actor=CARA, now=TODAY)
    said = Said(Verdict.APPROVE, "yes", decisions.preview(world.session, made, TODAY).digest)
    result = decisions.decide(world.session, made.id, said, actor=CARA, now=TODAY)
    assert result.outcome == Outcome.EXECUTED
    return world.session.scalars(select(Decision).order_by(Decision.id.desc())).first()  # type: ignore[return-value]


def test_each_decision_judged_again_under_its_own_version_gives_the_same_answer(world: World) -> None:
    before = decided(world)
    stricter = AUTHORITY.replace('@id("C-10")', '@id("C-10x")').replace(
        '&& resource.reason == "credit" && resource.amount <= principal.limit',
        '&& resource.reason == "credit" && resource.amount <= 100',
        1,
    )
    number = propose(world.session, NUMBERS, stricter, DEV)
    act(world.session, BacktestPolicy(version=number), IDA)
    found = policies.latest_backtest(world.session, number)
    assert found is not None
    assert [(d["was"], d["would"]) for d in found.result["decisions"]] == [("complete", "refused")]
    act(world.session, ActivatePolicy(version=number, reason="stricter"), IDA)
    for _ in range(2):
        then_and_again = backtest.again(world.session, before)
        assert then_and_again is not None
        then, again = then_and_again
        assert then == again
        assert again.outcome == "complete"
    assert before.policy_hash == policy.shipped().hash != policies.active(world.session, TODAY).hash


def test_each_order_judged_again_from_its_facts_gives_the_holds_it_got(world: World) -> None:
    order = now(world, 53)
    entry = world.session.scalars(
        select(JournalEntry).where(
            JournalEntry.tag == "order:sales:placed", JournalEntry.subject == f"sales_order:{order}"
        )
    ).one()
    facts = backtest.FACTS.validate_python(entry.facts["order"])
    under = policies.version(world.session, entry.facts["policy"])
    firm = world.session.get_one(Customer, "T1").entity
    assert {reason.value for reason, _ in backtest.held(facts, under, firm)} == set(holds(world, order))


def test_changing_the_policy_leaves_entries_with_who_and_what(world: World) -> None:
    number = propose(world.session)
    in_force(world.session, number)
    query = select(JournalEntry).where(JournalEntry.subject == f"policy:{number}").order_by(JournalEntry.id)
    entries = list(world.session.scalars(query))
    assert [(e.tag, e.actor) for e in entries] == [
        ("policy:version:proposed", CARA),
        ("policy:version:backtested", IDA),
        ("policy:version:activated", IDA),
    ]
    assert entries[0].after is not None
    assert ["credit.tolerance_percent", "0", "5"] in entries[0].after["changed"]


@pytest.mark.parametrize("actor", [AVA, MO, IDA])
def test_who_puts_policy_in_force_does_not_write_it_and_others_do_neither(api: Session, actor: str) -> None:
    with pytest.raises(CountersignError):
        propose(api, actor=actor)


def test_an_order_of_a_batch_is_held_by_the_policy_of_its_firm(world: World) -> None:
    line = NewLine(sku="T-1", quantity=Decimal(53), unit_price=Decimal(10))
    result = execute(
        world.session, PlaceOrder(customer="T1", channel="edi", lines=[line]), key="e", actor="edi", now=TODAY
    )
    assert result.change.after is not None
    assert result.change.after["holds"] == ["credit"]


@pytest.mark.parametrize(
    ("authority", "code"),
    [
        (AUTHORITY + '\n@id("F-90") @text("Nobody") forbid (principal, action, resource);', "locks_out"),
        (AUTHORITY + '\n@id("X-90") @text("Everybody") permit (principal, action, resource);', "segregation_of_duties"),
    ],
)
def test_a_policy_that_locks_out_or_gives_everything_is_refused(api: Session, authority: str, code: str) -> None:
    with pytest.raises(RuleViolation) as told:
        propose(api, NUMBERS, authority)
    assert code in {p.code for p in told.value.problems}


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('set_bank_account = "-1"', 'set_bank_acount = "-1"', "set_bank_acount"),
        ('steps = [["admin"], ["compliance_officer"]]', 'steps = [["admin"], ["complience"]]', "complience"),
        ('other = ["release_hold:credit"]\n', 'other = ["release_holds:credit"]\n', "release_holds"),
        ("sample_every = 5", "sample_every = 100000", "sample_every"),
        ('"costs", "sla_hours"]', '"costs", "access"]', "access"),
        ("name = ", "# name = ", "name"),
    ],
)
def test_a_slip_of_the_pen_is_no_silent_hole(api: Session, old: str, new: str, place: str) -> None:
    assert old in NUMBERS
    with pytest.raises(RuleViolation) as told:
        propose(api, NUMBERS.replace(old, new, 1))
    assert place in str(told.value)


def test_what_was_to_come_can_be_called_off(world: World) -> None:
    session, number = world.session, propose(world.session)
    act(session, BacktestPolicy(version=number), IDA)
    start = TODAY + timedelta(hours=18)
    act(session, ActivatePolicy(version=number, active_from=start, reason="tomorrow"), IDA)
    act(session, WithdrawPolicy(version=number, reason="not yet"), KAY)
    assert policies.active(session, start).hash == policy.shipped().hash
    assert {r.version.id: r.state for r in policies.versions(session, TODAY)} == {1: "active", number: "proposed"}
    with pytest.raises(RuleViolation, match="not waiting"):
        act(session, WithdrawPolicy(version=number, reason="again"), IDA)


def test_rolling_back_calls_off_what_was_to_come(world: World) -> None:
    session, first = world.session, propose(world.session)
    in_force(session, first)
    second = propose(session, TOLERANT.replace("duplicate_days = 14", "duplicate_days = 20"))
    later = TODAY + timedelta(minutes=1)
    act(session, BacktestPolicy(version=second), IDA, later)
    act(session, ActivatePolicy(version=second, active_from=TODAY + timedelta(days=1), reason="soon"), IDA, later)
    act(session, RollBackPolicy(version=1, reason="harm"), KAY, TODAY + timedelta(minutes=2))
    assert policies.active(session, TODAY + timedelta(days=2)).hash == policy.shipped().hash


def test_a_replay_tells_what_happens_to_open_orders_at_once_and_leaves_nothing(world: World) -> None:
    session = world.session
    order = now(world, 53)
    number = propose(session)
    act(session, BacktestPolicy(version=number), CARA)
    found = policies.latest_backtest(session, number)
    assert found is not None
    assert [(o["order"], o["what"], o["reason"]) for o in found.result["open"] if o["order"] == order] == [
        (order, "lifted", "credit")
    ]
    assert holds(world, order) == ["credit"]


def test_a_milder_policy_voids_no_waiver(world: World) -> None:
    session = world.session
    calendar.follow_policy(session, TODAY)
    decided(world)
    order = session.scalars(select(Hold.order_number).where(Hold.released_by == CARA)).one()
    in_force(session, propose(session, NUMBERS.replace('tolerance_percent = "0"  ', 'tolerance_percent = "1"  ')))
    while calendar.follow_policy(session, TODAY):
        pass
    assert holds(world, order) == []


def test_the_schema_names_every_command(api: Session) -> None:
    named = policy.schema().split("\naction ")[1]
    assert [name for name in ACTS if f"{name}," not in named and f"{name} " not in named] == []


def test_what_a_decision_costs_is_policys_rate(api: Session) -> None:
    """Q15: the cost of handling an order counts what people did for it, at the rate that finance put into force; without one there is no figure."""
    order = free_order(api)
    made = api.get_one(Proposal, file(order, [to_one(order)]))
    api.get_one(Case, made.case_id).order_number = order.number

    def costs() -> dict[str, Decimal]:
        kpi = kpis.BY_SLUG["operating-cost-per-order"]
        return {r.ref: r.value for r in kpis.rows(api, kpi, TODAY - timedelta(days=400), TODAY, kpis.ANY, 1000)}

    assert costs() == {}
    in_force(api, propose(api, NUMBERS.replace('handling = "0" ', 'handling = "6.50" ')))
    assert costs()[order.number] == 0
    decisions.decide(api, made.id, Said(Verdict.REJECT, "not now"), actor=AVA, now=TODAY)
    assert costs()[order.number] == Decimal("6.50")
