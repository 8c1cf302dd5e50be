"""Authority: default deny, limits, and two people where policy wants them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from erp_core import policy
from erp_core.rules import desk
from erp_core.rules.desk import Person, Signature, Subject

POLICY = policy.shipped()
EVERY_ACTION = [
    "place_order", "amend_order", "cancel_order", "expedite_order", "substitute_item", "decline_substitution", "place_hold",
    "release_hold", "promise_date", "record_remittance", "update_contact", "update_ship_to", "open_case", "route_case", "close_case",
    "send_message",
]  # fmt: skip


def person(*roles: str, limit: str = "25000", email: str = "a@x.example") -> Person:
    return Person(email, roles, Decimal(limit))


@pytest.mark.parametrize("action", EVERY_ACTION)
def test_an_empty_policy_permits_nobody_anything(action: str) -> None:
    empty = POLICY.model_copy(update={"authority": "// nothing"})
    everybody = person("supervisor", "customer_service", "credit_manager", limit="9999999")
    assert not desk.authority(empty, everybody, Subject(action)).allowed


@pytest.mark.parametrize("action", EVERY_ACTION)
@pytest.mark.parametrize("role", ["auditor", "admin"])
def test_auditors_and_administrators_sign_nothing_whatever_else_they_are(role: str, action: str) -> None:
    assert not desk.authority(POLICY, person(role, "supervisor", "customer_service"), Subject(action)).allowed


@pytest.mark.parametrize("action", EVERY_ACTION)
def test_nobody_without_a_role_signs(action: str) -> None:
    assert not desk.authority(POLICY, person(), Subject(action)).allowed


def test_credit_releases_up_to_the_cent_of_the_limit() -> None:
    release = Subject("release_hold", Decimal("25000.00"), "credit")
    assert desk.authority(POLICY, person("credit_analyst"), release).rules == ("C-10",)
    assert not desk.authority(POLICY, person("credit_analyst"), replace(release, amount=Decimal("25000.01"))).allowed


EXPORT = Subject("release_hold", Decimal(1), "export")


def test_an_export_hold_wants_compliance_and_one_more_person() -> None:
    able = [
        r
        for r in ("supervisor", "customer_service", "credit_manager", "compliance_officer")
        if desk.authority(POLICY, person(r), EXPORT).allowed
    ]
    assert able == ["supervisor", "compliance_officer"]
    officer, boss, other = (
        desk.signature(POLICY, person(role, email=f"{n}@x"), [EXPORT])
        for n, role in enumerate(("compliance_officer", "supervisor", "supervisor"))
    )
    for alone in (officer, boss):
        assert desk.standing(POLICY, [EXPORT], [alone], None).want_second == (0,)
    assert desk.standing(POLICY, [EXPORT], [boss, other], None).want_second == (0,)  # nobody of compliance
    assert desk.standing(POLICY, [EXPORT], [boss, officer], None).complete


def test_who_enters_orders_does_not_keep_customer_data() -> None:
    for action in ("update_contact", "update_ship_to"):
        assert not desk.authority(POLICY, person("customer_service"), Subject(action)).allowed


LARGE = Subject("release_hold", Decimal(30000), "credit")


def test_two_people_sign_above_the_limit_of_four_eyes() -> None:
    one = Signature("a@x", frozenset({0}))
    assert desk.standing(POLICY, [LARGE], [one], None).want_second == (0,)
    assert desk.standing(POLICY, [LARGE], [one, Signature("b@x", frozenset({0}))], None).complete


def test_who_asked_is_never_the_only_signature() -> None:
    assert desk.standing(POLICY, [LARGE], [Signature("a@x", frozenset({0}))], "a@x").want_second == (0,)
    assert desk.standing(POLICY, [LARGE], [Signature("b@x", frozenset({0}))], "a@x").want_second == (0,)
    both = [Signature("a@x", frozenset({0})), Signature("b@x", frozenset({0}))]
    assert desk.standing(POLICY, [LARGE], both, "a@x").complete


def test_a_command_that_no_signer_covers_stays_unsigned() -> None:
    subjects = [Subject("amend_order"), Subject("release_hold", Decimal(1), "credit")]
    assert desk.standing(POLICY, subjects, [Signature("a@x", frozenset({0}))], None).unsigned == (1,)
