"""Every approval type: who signs it up to which limit, who does not, how many people it wants, and that the asker is never enough."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

import pytest

from erp_core import policy
from erp_core.rules import desk
from erp_core.rules.desk import Person, Subject

POLICY = policy.shipped()
LIMIT = Decimal(20_000)


@dataclass(frozen=True)
class Approval:
    """One type: a subject within every limit, who signs it, who may not, and the amount from which more people sign (None: never)."""

    subject: Subject
    signers: tuple[str, ...]
    others: tuple[str, ...]
    limited: bool
    several_above: Decimal | None


def release(reason: str, amount: int = 100) -> Subject:
    return Subject("release_hold", Decimal(amount), reason)


TYPES = {
    "M21 credit release": Approval(release("credit"), ("credit_analyst", "credit_manager", "supervisor"), ("customer_service", "buyer"), True, Decimal(25_000)),
    "M22 margin threshold": Approval(release("margin"), ("pricing_manager", "supervisor"), ("customer_service", "credit_manager"), True, Decimal(25_000)),
    "M23 special price": Approval(release("price"), ("pricing_manager", "supervisor"), ("data_steward", "credit_manager"), True, Decimal(25_000)),
    "M24 export": Approval(release("export"), ("compliance_officer", "supervisor"), ("customer_service", "credit_manager"), False, Decimal(-1)),
    "M25 nonstandard shipping": Approval(release("shipping"), ("supply_planner", "warehouse_lead", "supervisor"), ("buyer",), False, Decimal(25_000)),
    "M26 substitution": Approval(Subject("substitute_item", Decimal(100)), ("customer_service", "supply_planner"), ("warehouse_lead", "buyer"), False, None),
    "M27 return": Approval(Subject("authorise_return", Decimal(100)), ("supervisor",), ("customer_service", "credit_manager"), True, None),
    "M28 expedite": Approval(Subject("expedite_order", Decimal(100)), ("customer_service", "supply_planner", "warehouse_lead"), ("buyer",), False, None),
    "M29 purchase": Approval(Subject("approve_purchase", Decimal(100), risk="low"), ("purchasing_manager", "supervisor"), ("buyer", "data_steward"), True, Decimal(50_000)),
    "M30 receipt tolerance": Approval(Subject("settle_quarantine", Decimal(100), "over", risk="released"), ("buyer", "supervisor"), ("customer_service", "accounts_payable"), True, None),
    "M31 intercompany": Approval(Subject("transfer_stock", Decimal(100), risk="intercompany"), ("supervisor",), ("supply_planner", "warehouse_lead"), True, Decimal(25_000)),
    "M32 invoice match": Approval(Subject("approve_match", Decimal(100)), ("accounts_payable", "purchasing_manager"), ("warehouse_lead", "supervisor"), True, Decimal(10_000)),
    "M33 policy change": Approval(Subject("activate_policy"), ("supervisor", "compliance_officer"), ("credit_manager", "admin"), False, None),
}  # fmt: skip
EACH = pytest.mark.parametrize("name", TYPES)


def person(*roles: str, email: str = "a@x", limit: Decimal = LIMIT) -> Person:
    return Person(email, roles, limit)


def may(role: str, subject: Subject, limit: Decimal = LIMIT) -> bool:
    return desk.authority(POLICY, person(role, limit=limit), subject).allowed


@EACH
def test_those_who_may_sign_it_may_and_others_may_not(name: str) -> None:
    asked = TYPES[name]
    assert [r for r in asked.signers if not may(r, asked.subject)] == []
    assert [r for r in (*asked.others, "auditor", "order_channel") if may(r, asked.subject)] == []


@pytest.mark.parametrize("name", [name for name, asked in TYPES.items() if asked.limited])
def test_the_limit_holds_to_the_cent(name: str) -> None:
    asked = TYPES[name]
    at, over = replace(asked.subject, amount=LIMIT), replace(asked.subject, amount=LIMIT + Decimal("0.01"))
    assert all(may(r, at) and not may(r, over) for r in asked.signers)


@EACH
def test_more_than_one_person_signs_above_the_amount_and_the_asker_is_not_enough(name: str) -> None:
    asked, high = TYPES[name], Decimal(10**9)
    if asked.several_above is None:
        assert desk.need(POLICY, replace(asked.subject, amount=high)).people == 1
        return
    above = replace(asked.subject, amount=max(asked.several_above, Decimal(0)) + Decimal("0.01"))
    assert desk.need(POLICY, above).people >= 2
    if asked.several_above > 0:
        assert desk.need(POLICY, replace(above, amount=asked.several_above)).people == 1
    alone = desk.signature(POLICY, person(*asked.signers, "credit_manager", email="asker@x", limit=high), [above])
    assert desk.standing(POLICY, [above], [alone], "asker@x").want_second == (0,)
    assert desk.standing(POLICY, [above], [alone, alone], "asker@x").want_second == (0,)  # signing twice is one person
    other = desk.signature(POLICY, person(*asked.signers, "credit_manager", email="other@x", limit=high), [above])
    assert desk.standing(POLICY, [above], [alone, other], "asker@x").complete


@EACH
def test_an_account_of_another_firm_signs_none_of_it(name: str) -> None:
    asked = TYPES[name]
    here = replace(asked.subject, entity="NS1")
    for role in asked.signers:
        abroad = Person("a@x", (role,), LIMIT, ("NS2",))
        assert not desk.authority(POLICY, abroad, here).allowed
        assert desk.authority(POLICY, abroad, replace(here, entity="NS2")).allowed


@EACH
def test_no_policy_no_signature(name: str) -> None:
    empty = POLICY.model_copy(update={"authority": "// nothing"})
    assert not any(desk.authority(empty, person(r), TYPES[name].subject).allowed for r in TYPES[name].signers)


def test_a_chain_wants_each_of_its_roles_from_another_person() -> None:
    large = Subject("approve_purchase", Decimal(60_000), risk="low")
    boss, finance, second = (
        desk.signature(POLICY, person(role, email=email, limit=Decimal(10**6)), [large])
        for role, email in (("supervisor", "boss@x"), ("credit_manager", "finance@x"), ("supervisor", "second@x"))
    )
    for group in ([boss], [finance], [boss, second]):
        assert desk.standing(POLICY, [large], group, None).want_second == (0,)
    assert desk.standing(POLICY, [large], [finance, boss], None).complete
    both = desk.signature(POLICY, person("supervisor", "credit_manager", email="both@x", limit=Decimal(10**6)), [large])
    assert not desk.standing(POLICY, [large], [both], None).complete


def test_forbid_beats_permit() -> None:
    forbidden = (
        POLICY.authority
        + '\n@id("F-99") @text("Nobody today") forbid (principal, action == Action::"release_hold", resource);'
    )
    assert not desk.authority(
        POLICY.model_copy(update={"authority": forbidden}), person("supervisor"), release("credit")
    ).allowed
