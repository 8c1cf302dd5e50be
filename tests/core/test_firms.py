"""Firms apart: every table of the house is kept to the firms a transaction was begun for, and nothing shows or touches another's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, event, select, text
from sqlalchemy.orm import Session as PlainSession
from sqlalchemy.pool import NullPool

from api.app import make_app
from erp_core import clock, db, policy
from erp_core.actions import access, requests, segregation
from erp_core.actions.context import Change, Context, earlier, write_journal
from erp_core.commands import ProposePolicy, RollBackPolicy, SaveUser, SetBankAccount, StopAgent
from erp_core.errors import NotAuthorised
from erp_core.queries import references
from erp_core.server import SUPERUSER, Cluster
from erp_core.tables import Base
from erp_core.tables.desk import Case
from erp_core.tables.parties import Customer, User
from erp_core.tables.sales import SalesOrder
from tests.conftest import TODAY
from tools import registry, world

# what all our firms share, or what is no record of any of them
SHARED = {
    "subscription", "saved_view", "notice_seen",
    "item", "item_unit", "item_source", "supplier", "substitute", "tier_price", "tolerance", "app_user", "delegation", "credential", "sign_in",
    "installation", "leadership", "policy_version", "policy_activation", "policy_backtest", "working_span", "agent_stop", "chain_link", "seal",
    "waiting_event", "model_version", "model_report", "model_use",
}  # fmt: skip
CAN = "can@northfieldsupply.example"
PAGES = [
    "/", "/?closed=1", "/?mine=1", "/?queue=credit", "/fulfilment", "/purchasing", "/figures", "/master-data", "/journal", "/people", "/policy", "/rail",
    "/batch?queue=customer_service&action=cancel_order", "/api/v1/cases", "/api/v1/queues", "/api/v1/journal?limit=1000", "/api/v1/figures",
    "/api/v1/needs", "/api/v1/policy/versions",
]  # fmt: skip


@pytest.fixture
def root(database: str, cluster: Cluster) -> Iterator[PlainSession]:
    engine = create_engine(cluster.dsn(SUPERUSER, database), poolclass=NullPool)
    with PlainSession(engine) as session:
        yield session
    engine.dispose()


@pytest.fixture
def canada(database: str) -> Iterator[TestClient]:
    """The console for somebody who may do nearly everything, in NS2 alone."""
    with db.transaction(db.API) as session:
        roles = ["supervisor", "customer_service", "supply_planner"]
        session.add(User(email=CAN, name="Can Ada", roles=roles, approval_limit=Decimal(10**6), entities=["NS2"]))
        session.flush()
        access.set_password(session, CAN, "a long password")
        token = access.issue_token(session, CAN, clock.now(session))
    with TestClient(make_app(), follow_redirects=True) as client:
        client.post("/signin", data={"email": CAN, "password": "a long password"})
        client.headers["Authorization"] = ""
        client.token = token  # type: ignore[attr-defined]
        yield client


def test_every_table_is_kept_apart_by_force_or_named_as_shared(root: PlainSession) -> None:
    kept = root.execute(
        text(
            "SELECT relname FROM pg_class c JOIN pg_policy p ON p.polrelid = c.oid WHERE relrowsecurity AND relforcerowsecurity"
        )
    )
    assert {name for (name,) in kept} == set(Base.metadata.tables) - SHARED


def test_a_transaction_begun_for_nobody_sees_nothing(root: PlainSession, database: str) -> None:
    full = 0
    for role in (db.API, db.OWNER):
        with db.reading(role, firms=()) as session:
            for table in sorted(set(Base.metadata.tables) - SHARED):
                full += bool(root.scalar(text(f'SELECT count(*) FROM "{table}"')))
                assert session.scalar(text(f'SELECT count(*) FROM "{table}"')) == 0, table
    assert full > 20


def test_two_firms_together_are_the_whole_house(root: PlainSession, database: str) -> None:
    for table in (
        "customer",
        "sales_order",
        "order_line",
        "invoice",
        "warehouse",
        "stock_level",
        "contact",
        "hold",
        "purchase_order",
    ):
        seen = []
        for firms in (("NS1",), ("NS2",), ("NS1", "NS2"), ("*",)):
            with db.reading(db.API, firms=firms) as session:
                seen.append(session.scalar(text(f'SELECT count(*) FROM "{table}"')))
        assert seen[0] + seen[1] == seen[2] == seen[3] == root.scalar(text(f'SELECT count(*) FROM "{table}"')), table
        assert seen[0], table


def test_a_row_of_another_firm_cannot_be_written(database: str) -> None:
    with db.transaction(db.API, firms=("NS2",)) as session:
        for statement in (
            "INSERT INTO customer (code, entity, name, tier, payment_terms_days, credit_limit, currency, country, status) "
            "VALUES ('X1', 'NS1', 'X', 'A', 30, 1, 'USD', 'US', 'active')",
            "UPDATE customer SET entity = 'NS1' WHERE entity = 'NS2'",
        ):
            with pytest.raises(db.Refused, match="row-level security"), session.begin_nested():
                session.execute(text(statement))
        assert session.execute(text("UPDATE customer SET credit_limit = 0 WHERE entity = 'NS1'")).rowcount == 0  # type: ignore[attr-defined]


def test_a_pooled_connection_forgets_whose_it_was(database: str) -> None:
    with db.reading(db.API) as session:
        assert session.scalar(text("SELECT count(*) FROM customer"))
    for _ in range(20):
        with db.reading(db.API, firms=()) as session:
            assert session.scalar(text("SELECT count(*) FROM customer")) == 0


def others(root: PlainSession) -> tuple[list[str], list[str], list[int]]:
    """Names and orders of the other firm's customers, and its cases."""
    names = list(root.scalars(select(Customer.name).where(Customer.entity == "NS1")))
    orders = list(
        root.scalars(
            select(SalesOrder.number)
            .join(Customer, Customer.code == SalesOrder.customer)
            .where(Customer.entity == "NS1")
        )
    )
    return names, orders, list(root.scalars(select(Case.id).where(Case.entity == "NS1")))


@pytest.mark.parametrize("page", PAGES)
def test_no_page_and_no_feed_tells_of_another_firms_customers(
    canada: TestClient, root: PlainSession, page: str
) -> None:
    names, orders, _ = others(root)
    headers = {"Authorization": f"Bearer {canada.token}"} if page.startswith("/api/") else {}  # type: ignore[attr-defined]
    if not page.startswith("/api/"):
        canada.headers.pop("Authorization", None)
    answer = canada.get(page, headers=headers)
    assert answer.status_code == 200
    assert [n for n in [*names, *orders] if n in answer.text] == []


def test_another_firms_documents_are_not_there(canada: TestClient, root: PlainSession) -> None:
    _, orders, cases = others(root)
    canada.headers.pop("Authorization", None)
    bearer = {"Authorization": f"Bearer {canada.token}"}  # type: ignore[attr-defined]
    for path in (f"/orders/{orders[0]}", f"/cases/{cases[0]}", f"/cases/{cases[0]}/evidence.zip"):
        assert canada.get(path).status_code == 404, path
    for path in (f"/api/v1/orders/{orders[0]}", f"/api/v1/cases/{cases[0]}"):
        assert canada.get(path, headers=bearer).status_code == 404, path
    before = root.execute(text("SELECT md5(string_agg(o::text, '' ORDER BY number)) FROM sales_order o")).scalar_one()
    for number, said in enumerate((
        {"type": "cancel_order", "order": orders[0], "reason": "x"}, {"type": "place_hold", "order": orders[0], "reason": "manual"},
        {"type": "close_case", "case": cases[0], "resolution": "x", "root_cause": "none"},
    )):  # fmt: skip
        answer = canada.post(
            "/api/v1/commands", json=said, headers={**bearer, "Idempotency-Key": f"cross-firm-{number}"}
        )
        assert answer.status_code in (403, 404), answer.text
    root.rollback()
    assert (
        root.execute(text("SELECT md5(string_agg(o::text, '' ORDER BY number)) FROM sales_order o")).scalar_one()
        == before
    )


def test_what_the_agent_gathers_for_a_customer_is_of_its_firm(root: PlainSession, database: str) -> None:
    _, orders, _ = others(root)
    with registry.together(("NS2",)), pytest.raises(Exception, match="no sales order"):
        world.line_needs(orders[0])
    with registry.together(("NS1",)):
        assert world.line_needs(orders[0]) is not None


def test_what_a_mail_names_is_found_by_index_though_firms_are_kept_apart(database: str) -> None:
    """Row security lets no index be used on an expression whose functions might leak: each mail would read whole tables."""
    asked: list[tuple[str, Any]] = []
    with db.reading(db.AGENT) as session:
        connection = session.connection()
        listening = (connection, "before_cursor_execute", lambda _c, _k, said, values, *_: asked.append((said, values)))
        event.listen(*listening)
        references.resolve(session, ["SO40210", "PO77123"])
        references.contact_at(session, "nobody@nowhere.example")
        event.remove(*listening)
        with db.raw(session) as raw:
            raw.execute("SET LOCAL enable_seqscan = off")
            for said, values in asked:
                plan = "\n".join(row[0] for row in raw.execute(f"EXPLAIN {said}", values))
                assert "Seq Scan" not in plan, plan
    assert len(asked) == 2
    with db.reading(db.OWNER) as session:
        session.execute(text("SET LOCAL enable_seqscan = off"))
        plan = session.scalars(
            text("EXPLAIN SELECT count(*) FROM asked WHERE order_number = 'SO-1' AND filed_at > now()")
        )
        assert "ix_asked_order_number" in "\n".join(plan)


def test_a_migration_sees_every_firms_rows(root: PlainSession, database: str) -> None:
    with db.transaction(db.OWNER) as session:
        done = session.execute(text("UPDATE customer SET name = name"))
        assert done.rowcount == root.scalar(text("SELECT count(*) FROM customer"))  # type: ignore[attr-defined]


def test_what_one_may_not_see_still_counts_as_a_hand_and_as_a_key(database: str) -> None:
    with db.transaction(db.API) as session:
        told = Change("bill:supplier:recorded", "bill:S1:B1", None, {})
        write_journal(Context(session, "the key", "hal@x", TODAY, policy.shipped()), told, "the key", {"a": 1})
    with db.transaction(db.API, firms=("NS2",)) as session:
        context = Context(session, "other", "x", TODAY, policy.shipped())
        assert session.scalar(text("SELECT count(*) FROM journal_entry WHERE key = 'the key'")) == 0
        assert segregation.hands_on(["bill:S1:B1"], ["bill:supplier:recorded"], context) == {"hal@x"}
        assert earlier(session, "the key", {"a": 1}) is not None
        assert (
            session.scalar(text("SELECT count(*) FROM journal_entry WHERE key = 'the key'")) == 0
        )  # and is not seen afterwards


def test_a_request_belongs_to_the_firm_it_is_about(canada: TestClient, root: PlainSession) -> None:
    customer = root.scalars(select(Customer.code).where(Customer.entity == "NS1").order_by(Customer.code)).first()
    with db.transaction(db.API) as session:
        command = SetBankAccount(customer=str(customer), iban="DE89370400440532013000")
        made = requests.propose(
            session, [command], key="iban", reason="new bank", actor="jon.bell@northfieldsupply.example", now=TODAY
        )
        assert session.get_one(Case, made.case_id).entity == "NS1"
        number, proposal = made.case_id, made.id
    canada.headers.pop("Authorization", None)
    bearer = {"Authorization": f"Bearer {canada.token}", "Idempotency-Key": "not-mine-1"}  # type: ignore[attr-defined]
    assert canada.get(f"/cases/{number}").status_code == 404
    said = {"verdict": "reject", "reason": "no"}
    assert canada.post(f"/api/v1/proposals/{proposal}/decisions", json=said, headers=bearer).status_code == 404


def test_who_works_for_one_firm_gives_nobody_more_and_changes_no_policy(database: str) -> None:
    with db.transaction(db.API) as session:
        roles = {
            "a@x.example": ["admin"],
            "c@x.example": ["compliance_officer"],
            "m@x.example": ["credit_manager"],
            "j@x.example": ["customer_service"],
        }
        for email, own in roles.items():
            session.add(User(email=email, name=email, roles=own, approval_limit=Decimal(10**6), entities=["NS2"]))
        session.flush()
        everywhere = SaveUser(email="new@x.example", name="New", roles=["supervisor"], approval_limit=Decimal(10**8))
        with pytest.raises(NotAuthorised):
            requests.propose(session, [everywhere], key="u", reason="please", actor="a@x.example", now=TODAY)
        here = everywhere.model_copy(update={"entities": ["NS2"]})
        assert requests.propose(session, [here], key="v", reason="please", actor="a@x.example", now=TODAY).id
        numbers, authority = policy.texts()
        for actor, command in (
            ("m@x.example", ProposePolicy(numbers=numbers + "# x\n", authority=authority, summary="for us")),
            ("c@x.example", RollBackPolicy(version=1)),
            ("j@x.example", StopAgent(reason="everywhere")),
            ("j@x.example", StopAgent(entity="NS1", reason="over there")),
        ):
            with pytest.raises(NotAuthorised):
                requests.act(session, command, key=f"{actor}:{command.type}", actor=actor, now=TODAY)
        requests.act(session, StopAgent(entity="NS2", reason="here"), key="stop", actor="j@x.example", now=TODAY)


def test_a_token_of_the_api_signs_nothing_in_the_console(canada: TestClient) -> None:
    token = canada.token  # type: ignore[attr-defined]
    canada.cookies.clear()
    canada.headers.pop("Authorization", None)
    form = {"token": hashlib.sha256(f"form:{token}".encode()).hexdigest(), "queue": "credit", "action": "x", "key": "k"}
    answer = canada.post("/batch", data=form, headers={"Authorization": f"Bearer {token}"}, follow_redirects=False)
    assert (answer.status_code, answer.headers.get("location", "")[:7]) == (303, "/signin")
