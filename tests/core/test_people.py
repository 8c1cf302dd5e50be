"""People: who may do what, lent authority, duties apart, and the switch that stops the agent."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select, text

from erp_core import casework, db, policy
from erp_core.actions import access, requests
from erp_core.actions import desk as decisions
from erp_core.actions.desk import Said
from erp_core.commands import DelegateAuthority, EndDelegation, PlaceHold, ReleaseHold, ResumeAgent, SaveUser, StopAgent
from erp_core.db import Session
from erp_core.errors import CountersignError, NotAuthorised, NotFound, RuleViolation
from erp_core.queries import desk
from erp_core.rules import desk as rules
from erp_core.rules import segregation
from erp_core.rules.desk import Capacity, Person, Subject
from erp_core.tables.desk import Case, JournalEntry
from erp_core.tables.parties import User
from erp_core.values import HoldReason, Outcome, Verdict
from tests.conftest import TODAY
from tests.core.test_decisions import free_order

POLICY = policy.shipped()
AVA, BEN, CARA, IDA, KAY, MO, LEE, DEV = (
    f"{n}@northfieldsupply.example"
    for n in ("ava.stone", "ben.ortiz", "cara.lim", "ida.marsh", "kay.dunn", "mo.adair", "lee.voss", "dev.rao")
)
BIG = Decimal(10**9)


def act(session: Session, command: Any, actor: str, at: Any = TODAY) -> Any:
    return requests.act(session, command, key=f"{command.type}:{actor}:{at}:{command}", actor=actor, now=at)


def sign(session: Session, proposal: int, actor: str, at: Any = TODAY) -> decisions.DecisionResult:
    shown = decisions.preview(session, desk.proposal(session, proposal), at).digest
    return decisions.decide(session, proposal, Said(Verdict.APPROVE, "yes", shown), actor=actor, now=at)


def held_order(session: Session) -> str:
    number = free_order(session).number
    act(session, PlaceHold(order=number, reason=HoldReason.CREDIT, note="ask finance"), CARA)
    return number


def lend(session: Session, giver: str, taker: str, *roles: str, days: int = 2) -> int:
    command = DelegateAuthority(
        to=taker, roles=list(roles), ends_at=TODAY + timedelta(days=days), reason="away until Monday"
    )
    return int(act(session, command, giver).change.after["delegation"])


# --- duties apart

PAIRS = {pair.id: pair for pair in POLICY.apart}


@pytest.mark.parametrize("pair", PAIRS)
def test_every_role_of_one_duty_conflicts_with_every_role_of_the_other(pair: str) -> None:
    every = segregation.roles(POLICY)
    found = 0

    def able(role: str, duties: list[str]) -> bool:
        person = Person("x@x", (role,), segregation.NO_LIMIT)
        return any(
            rules.authority(POLICY, person, asked).allowed for duty in duties for asked in segregation.probes(duty)
        )

    for one in sorted(r for r in every if able(r, PAIRS[pair].one)):
        for other in sorted(r for r in every if able(r, PAIRS[pair].other)):
            assert one != other, f"the role {one} alone may {PAIRS[pair].text}"
            both = segregation.conflicts(POLICY, Person("x@x", (one, other), Decimal(0)))
            barred = {"admin", "auditor"} & {one, other}  # they sign nothing whatever else they are
            found += 1
            assert barred or pair in {p.id for p in both}
    assert found


def test_nobody_of_the_sample_firm_has_both_sides_of_a_pair(api: Session) -> None:
    for user, person in desk.people(api, TODAY):
        assert segregation.conflicts(POLICY, person) == [], user.email


def test_lent_authority_may_not_bring_both_sides_together() -> None:
    lent = Capacity(("credit_manager",), BIG, of="cara")
    steward = Person("jon", ("data_steward",), BIG, delegated=(lent,))
    assert {"SD-01"} <= {p.id for p in segregation.conflicts(POLICY, steward)}


def test_an_account_is_changed_by_an_administrator_and_compliance_together(api: Session) -> None:
    command = SaveUser(
        email="new@northfieldsupply.example",
        name="New One",
        roles=["credit_analyst"],
        approval_limit=Decimal(5000),
        entities=["NS1"],
    )
    with pytest.raises(NotAuthorised, match="two people"):
        act(api, command, MO)
    made = requests.propose(api, [command], key="u", reason="joins on Monday", actor=MO, now=TODAY)
    outcomes = [sign(api, made.id, who).outcome for who in (IDA, MO, KAY)]
    assert outcomes == [Outcome.REFUSED, Outcome.SIGNED, Outcome.EXECUTED]
    kept = api.get_one(User, "new@northfieldsupply.example")
    assert (kept.roles, kept.entities, kept.approval_limit) == (["credit_analyst"], ["NS1"], 5000)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"roles": ["credit_analyst", "data_steward"]}, "segregation_of_duties"),
        ({"roles": ["king"]}, "role_unknown"),
        ({"entities": ["NS9"]}, "firm_unknown"),
        ({"email": MO}, "own_user"),
    ],
)
def test_what_an_account_may_not_be_is_said(api: Session, change: dict[str, Any], code: str) -> None:
    said = {"email": "n@x.example", "name": "N", "roles": ["credit_analyst"], "approval_limit": 1, **change}
    made = requests.propose(api, [SaveUser.model_validate(said)], key="u", reason="please", actor=MO, now=TODAY)
    result = sign(api, made.id, KAY)
    seen = decisions.preview(api, desk.proposal(api, made.id), TODAY, [MO])
    assert result.outcome == Outcome.REFUSED or code == "own_user"
    assert code in [p.code for p in seen.problems]


def test_an_ended_account_signs_nothing_and_is_signed_out(api: Session) -> None:
    token = access.issue_token(api, AVA, TODAY)
    user = api.get_one(User, AVA)
    user.active = False
    api.flush()
    with pytest.raises(NotAuthorised):
        access.who(api, token, TODAY)
    with pytest.raises(NotAuthorised):
        act(api, PlaceHold(order=free_order(api).number, reason=HoldReason.MANUAL, note="x"), AVA)


# --- lent authority


def test_who_borrows_authority_signs_with_it_until_it_ends(api: Session) -> None:
    order = held_order(api)
    command = ReleaseHold(order=order, reason=HoldReason.CREDIT, note="paid")
    with pytest.raises(NotAuthorised):
        act(api, command, DEV)
    number = lend(api, CARA, DEV, "credit_manager", days=1)
    savepoint = api.begin_nested()
    act(api, command, DEV)
    savepoint.rollback()
    api.expire_all()
    with pytest.raises(NotAuthorised):
        act(api, command, DEV, TODAY + timedelta(days=1))
    act(api, EndDelegation(delegation=number), DEV)
    with pytest.raises(NotAuthorised):
        act(api, command, DEV)


def test_nobody_lends_what_the_person_lost(api: Session) -> None:
    lend(api, CARA, DEV, "credit_manager")
    assert desk.person(api, DEV, TODAY).delegated[0].roles == ("credit_manager",)
    api.get_one(User, CARA).roles = ["auditor"]
    api.flush()
    assert desk.person(api, DEV, TODAY).delegated == ()


def test_the_limit_lent_is_never_more_than_the_givers(api: Session) -> None:
    lend(api, BEN, DEV, "credit_analyst")
    api.get_one(User, BEN).approval_limit = Decimal(10)
    api.flush()
    assert desk.person(api, DEV, TODAY).delegated[0].approval_limit == 10


@pytest.mark.parametrize(
    ("giver", "taker", "roles", "days", "code"),
    [
        (CARA, DEV, ["supervisor"], 1, "role_not_own"),
        (CARA, CARA, ["credit_manager"], 1, "own_user"),
        (CARA, DEV, ["credit_manager"], 400, "delegation_long"),
        (CARA, DEV, ["credit_manager"], -1, "delegation_over"),
        (CARA, "jon.bell@northfieldsupply.example", ["credit_manager"], 1, "segregation_of_duties"),
    ],
)
def test_what_cannot_be_lent_is_said(
    api: Session, giver: str, taker: str, roles: list[str], days: int, code: str
) -> None:
    with pytest.raises(RuleViolation) as told:
        lend(api, giver, taker, *roles, days=days)
    assert code in [p.code for p in told.value.problems]


def test_auditors_and_administrators_sign_nothing_with_borrowed_authority_either(api: Session) -> None:
    order = held_order(api)
    for taker in (MO, LEE):
        lend(api, CARA, taker, "credit_manager")
        with pytest.raises(NotAuthorised):
            act(api, ReleaseHold(order=order, reason=HoldReason.CREDIT, note="paid"), taker)


def test_loans_add_up_when_duties_are_kept_apart(api: Session) -> None:
    jon = "jon.bell@northfieldsupply.example"
    lend(api, DEV, AVA, "pricing_manager")
    with pytest.raises(RuleViolation) as told:
        lend(api, jon, AVA, "data_steward")
    assert {"segregation_of_duties"} == {p.code for p in told.value.problems}


def test_a_deputy_does_not_change_what_the_giver_may_do(api: Session) -> None:
    gus = "gus.hale@northfieldsupply.example"
    lend(api, KAY, gus, "compliance_officer")
    kay = api.get_one(User, KAY)
    command = SaveUser(email=KAY, name=kay.name, roles=kay.roles, approval_limit=Decimal(10**8))
    made = requests.propose(api, [command], key="k", reason="please", actor=MO, now=TODAY)
    assert [sign(api, made.id, who).outcome for who in (MO, gus)] == [Outcome.SIGNED, Outcome.REFUSED]


def test_a_role_borrowed_for_one_command_serves_no_chain_of_another() -> None:
    large = Subject("approve_purchase", Decimal(90_000), risk="low")
    other = Subject("record_remittance", Decimal(1))
    boss = Person("boss", ("supervisor",), BIG)
    helped = Person("helped", ("supervisor",), BIG, delegated=(Capacity(("credit_manager",), Decimal(0), of="cara"),))
    signed = [rules.signature(POLICY, p, [large, other]) for p in (boss, helped)]
    assert rules.standing(POLICY, [large, other], signed, None).want_second == (0,)


def test_what_was_borrowed_is_not_lent_on(api: Session) -> None:
    lend(api, CARA, DEV, "credit_manager")
    with pytest.raises(RuleViolation, match="Only own roles"):
        lend(api, DEV, IDA, "credit_manager")


def test_giver_and_deputy_are_one_pair_of_hands() -> None:
    large = Subject("release_hold", Decimal(30_000), "credit")
    giver = Person("cara", ("credit_manager",), BIG)
    deputy = Person("dev", ("pricing_manager",), BIG, delegated=(Capacity(("credit_manager",), BIG, of="cara"),))
    other = Person("ben", ("credit_analyst",), BIG)
    signed = [rules.signature(POLICY, p, [large]) for p in (giver, deputy, other)]
    assert rules.standing(POLICY, [large], signed[:2], None).want_second == (0,)
    assert rules.standing(POLICY, [large], signed[1:], None).complete


def test_a_role_lost_between_two_signatures_counts_no_more(api: Session) -> None:
    order = free_order(api).number
    act(api, PlaceHold(order=order, reason=HoldReason.EXPORT, note="licence?"), KAY)
    command = ReleaseHold(order=order, reason=HoldReason.EXPORT, note="licence is there")
    made = requests.propose(api, [command], key="r", reason="please", actor=KAY, now=TODAY)
    assert sign(api, made.id, KAY).outcome == Outcome.SIGNED
    api.get_one(User, KAY).roles = ["data_steward"]
    api.flush()
    assert sign(api, made.id, IDA).outcome == Outcome.SIGNED  # compliance is missing again
    api.get_one(User, DEV).roles = ["compliance_officer"]
    api.flush()
    assert sign(api, made.id, DEV).outcome == Outcome.EXECUTED


# --- the switch


def mail_case(session: Session, name: str) -> int:
    told = {
        "source": None,
        "sender": "x@y.example",
        "sender_name": None,
        "subject": "s",
        "sent_at": None,
        "raw": b"From: x\n\nx",
    }
    return casework.record_message(session, message_id=f"<{name}@t>", parsed={}, **told).case  # type: ignore[arg-type]


def test_a_stopped_agent_claims_and_files_nothing_while_mail_comes_in(database: str) -> None:
    with db.transaction(db.AGENT) as session:
        claimed = mail_case(session, "a")
        assert casework.claim_case(session, "w", 60, claimed) == claimed
    with db.transaction(db.API) as session:
        act(session, StopAgent(reason="it proposes nonsense"), AVA)
        due = session.get_one(Case, claimed).due_at
    with db.transaction(db.AGENT) as session:
        other = mail_case(session, "b")
        assert casework.claim_case(session, "w", 60, other) is None
        filing = casework.Filing(
            "change_order", [{"type": "cancel_order", "order": "x"}], "because", [], {}, {}, "good"
        )
        with pytest.raises(db.Refused, match="the agent is stopped"), session.begin_nested():
            casework.file_proposal(session, claimed, "w", "run", filing)
    with db.transaction(db.API) as session:
        assert session.get_one(Case, claimed).due_at == due
        assert session.get_one(Case, other).due_at is not None
        with pytest.raises(NotAuthorised):
            act(session, ResumeAgent(reason="try again"), IDA)
        act(session, ResumeAgent(reason="fixed"), MO)
        tags = list(
            session.scalars(select(JournalEntry.tag).where(JournalEntry.subject == "agent:*").order_by(JournalEntry.id))
        )
    assert tags == ["agent:switch:stopped", "agent:switch:resumed"]
    with db.transaction(db.AGENT) as session:
        assert casework.claim_case(session, "w", 60, other) == other


def test_the_agent_is_stopped_for_one_firm_alone(database: str) -> None:
    with db.transaction(db.API) as session:
        act(session, StopAgent(entity="NS2", reason="new owner there"), AVA)
        rows = session.execute(
            text("SELECT DISTINCT ON (entity) entity, code FROM customer ORDER BY entity, code")
        ).all()
    with db.transaction(db.AGENT) as session:
        for firm, code in rows:
            case = mail_case(session, firm)
            casework.claim_case(session, "w", 1, case)
            casework.record_findings(
                session, case, "w", "run", {}, casework.Triage("credit", "high", code, None, None, None)
            )
            session.execute(text("SELECT pg_sleep(1.05)"))
            assert (casework.claim_case(session, "w", 60, case) is None) == (firm == "NS2")


@pytest.mark.parametrize("actor", [LEE, "nobody@x.example"])
def test_who_does_not_work_here_stops_nothing_and_lends_nothing(api: Session, actor: str) -> None:
    with pytest.raises((NotAuthorised, NotFound, CountersignError)):
        act(api, DelegateAuthority(to=AVA, roles=["auditor"], ends_at=TODAY + timedelta(days=1), reason="away"), actor)


# --- secrets


def test_a_token_has_a_name_scopes_and_an_end(api: Session) -> None:
    secret = access.issue_token(api, AVA, TODAY, name="reports", scopes=["read"], days=7)
    found = access.who(api, secret, TODAY)
    assert (found.email, found.kind, found.allows("read"), found.allows("write"), found.allows("sign")) == (
        AVA,
        "token",
        True,
        False,
        False,
    )
    with pytest.raises(NotAuthorised):
        access.who(api, secret, TODAY + timedelta(days=7))
    listed = access.tokens(api, TODAY)
    access.revoke_token(api, listed[0].token_hash[:12], "ops", TODAY)
    with pytest.raises(NotAuthorised):
        access.who(api, secret, TODAY)


@pytest.mark.parametrize(("more", "code"), [({"scopes": ["fly"]}, "scope_unknown"), ({"days": 9999}, "token_long")])
def test_a_token_that_cannot_be_is_refused(api: Session, more: dict[str, Any], code: str) -> None:
    with pytest.raises(RuleViolation) as told:
        access.issue_token(api, AVA, TODAY, **more)
    assert [p.code for p in told.value.problems] == [code]


def test_a_code_sets_a_password_once_and_in_time(api: Session) -> None:
    access.send_code(api, AVA, TODAY)
    body = api.scalar(text("SELECT body FROM outbox ORDER BY id DESC LIMIT 1"))
    code = body.split(" is ")[1].split(".")[0]
    with pytest.raises(NotAuthorised):
        access.use_code(api, BEN, code, "another long one", TODAY)
    with pytest.raises(NotAuthorised):
        access.use_code(api, AVA, code, "another long one", TODAY + timedelta(hours=25))
    access.use_code(api, AVA, code, "another long one", TODAY)
    assert access.authenticate(api, AVA, "another long one", TODAY) == AVA
    with pytest.raises(NotAuthorised):
        access.use_code(api, AVA, code, "a third long one", TODAY)
    before = api.scalar(text("SELECT count(*) FROM outbox"))
    access.send_code(api, "nobody@x.example", TODAY)
    assert api.scalar(text("SELECT count(*) FROM outbox")) == before


def test_a_person_prepares_the_release_of_a_hold_and_signs_what_is_shown(api: Session) -> None:
    order = held_order(api)
    case = api.scalars(select(Case).where(Case.kind == "hold_credit", Case.order_number == order)).one()
    with pytest.raises(NotAuthorised):
        requests.prepare_release(api, case.id, reason="please", actor=AVA, now=TODAY)
    made = requests.prepare_release(api, case.id, reason="paid this morning", actor=CARA, now=TODAY)
    assert (made.case_id, made.filed_by, [c["type"] for c in made.commands]) == (case.id, CARA, ["release_hold"])
    assert sign(api, made.id, CARA).outcome == Outcome.EXECUTED
    api.refresh(case)
    assert (case.status, case.root_cause) == ("resolved", "credit_terms")
