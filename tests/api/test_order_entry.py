"""Orders by people: colleagues under their own authority, customers for their own account at our prices; a try leaves nothing behind."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from api.setup_pages import greet, look_into
from erp_core import db
from erp_core.actions import access
from erp_core.db import Session
from erp_core.queries import desk, evaluating, sales
from erp_core.queries.evaluating import fingerprint
from erp_core.tables.sales import SalesOrder
from tests.api.test_http import client as made
from tests.conftest import SAMPLE

client = made
AVA, LEE, MO = (f"{n}@northfieldsupply.example" for n in ("ava.stone", "lee.voss", "mo.adair"))
PASSWORD = "a long password"
CONTACT = "sofia.lindqvist@redstoneelectric.example"


def form_of(client: TestClient, path: str) -> dict[str, str]:
    import re

    page = client.get(path).text
    return {name: re.search(rf'name="{name}" value="([^"]*)"', page)[1] for name in ("token", "key")}  # type: ignore[index]


def signed_in(client: TestClient, email: str) -> TestClient:
    with db.transaction(db.API) as session:
        access.set_password(session, email, PASSWORD)
    client.post("/signin", data={"email": email, "password": PASSWORD})
    return client


@pytest.fixture
def customer(client: TestClient, database: str) -> tuple[TestClient, str]:
    """A browser of a contact that proved its address, and its customer."""
    client.post("/chat/ask", data={"email": CONTACT, "to": "portal"})
    with db.reading(db.API) as session:
        code = evaluating.last_mail(session)
    answer = client.post("/chat/code", data={"code": code, "to": "portal"})
    assert answer.headers["location"] == "/portal"
    with db.reading(db.API) as session:
        return client, str(session.scalars(select(SalesOrder.customer).where(SalesOrder.number == "SO-40352")).one())


def test_a_try_leaves_nothing_behind(client: TestClient, api: Session) -> None:
    signed_in(client, AVA)
    form = form_of(client, "/order-entry")
    before = fingerprint(api)
    api.rollback()
    told = client.post(
        "/order-entry/trial", data={**form, "customer": "C1017", "line.0.sku": "VAL-1166", "line.0.quantity": "100"}
    )
    assert "Credit hold" in told.text
    assert fingerprint(api) == before


def test_the_same_form_sent_twice_enters_one_order(client: TestClient, api: Session) -> None:
    signed_in(client, AVA)
    form = form_of(client, "/order-entry") | {
        "customer": "C1017",
        "line.0.sku": "val-1166",
        "line.0.quantity": "3",
        "line.0.uom": "EA",
    }
    first, second = (client.post("/order-entry", data=form) for _ in range(2))
    assert first.status_code == 303
    assert first.headers["location"] == second.headers["location"]
    number = first.headers["location"].rsplit("/", 1)[1]
    assert api.get_one(SalesOrder, number).channel == "sales_rep"


def test_customer_and_item_may_be_told_by_name(client: TestClient, api: Session) -> None:
    signed_in(client, AVA)
    line = {"customer": "summit facilities", "line.0.sku": "anchor wedge 2mm", "line.0.quantity": "3"}
    form = form_of(client, "/order-entry") | line
    assert "Summit Facilities, C1002: it would come to" in client.post("/order-entry/trial", data=form).text
    made = client.post("/order-entry", data=form)
    order = api.get_one(SalesOrder, made.headers["location"].rsplit("/", 1)[1])
    assert (order.customer, [x.sku for x in order.lines]) == ("C1002", ["FST-5110"])


def test_words_that_fit_several_name_them(client: TestClient) -> None:
    signed_in(client, AVA)
    line = {"customer": "C1002", "line.0.sku": "self-drilling screw", "line.0.quantity": "3"}
    page = client.post("/order-entry", data=form_of(client, "/order-entry") | line)
    assert page.status_code == 422
    assert "FST-2632 Self-drilling screw #35" in page.text


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ({"line.0.sku": "NOPE", "line.0.quantity": "3"}, "NOPE"),
        ({"line.0.sku": "VAL-1166", "line.0.quantity": "some"}, "Line 1, quantity"),
        ({}, "at least one line"),
    ],
)
def test_what_is_wrong_names_its_place_and_nothing_typed_is_lost(
    client: TestClient, line: dict[str, str], says: str
) -> None:
    signed_in(client, AVA)
    page = client.post(
        "/order-entry", data=form_of(client, "/order-entry") | {"customer": "C1017", "customer_po": "PO-KEPT", **line}
    )
    assert page.status_code == 422
    assert says in page.text
    assert "PO-KEPT" in page.text


def test_who_may_not_enter_orders_enters_none(client: TestClient, api: Session) -> None:
    signed_in(client, LEE)
    before = api.scalar(select(func.count()).select_from(SalesOrder))
    form = form_of(client, "/order-entry") | {"customer": "C1017", "line.0.sku": "VAL-1166", "line.0.quantity": "3"}
    assert "No rule lets" in client.post("/order-entry", data=form).text
    assert api.scalar(select(func.count()).select_from(SalesOrder)) == before


def test_a_customer_sees_and_orders_for_its_own_account_alone(customer: tuple[TestClient, str], api: Session) -> None:
    browser, own = customer
    page = browser.get("/portal").text
    shown = set(api.scalars(select(SalesOrder.number).where(SalesOrder.customer == own)).all())
    others = set(api.scalars(select(SalesOrder.number).where(SalesOrder.customer != own)).all())
    assert {n for n in shown if n in page}
    assert not {n for n in others if n in page}
    assert not [word for word in ("exposure", "credit hold", "credit limit", "margin") if word in page.lower()]
    form = form_of(browser, "/portal")
    goods = {"line.0.sku": "VAL-7461", "line.0.quantity": "3", "line.0.uom": "EA"}
    answer = browser.post("/portal", data={**form, **goods, "customer": "C1017"})
    placed = api.get_one(SalesOrder, answer.headers["location"].rsplit("=", 1)[1])
    assert (placed.customer, placed.channel) == (own, "portal")
    for foreign in ({"line.0.unit_price": "0.01"}, {"warehouse": "W03"}):
        refused = browser.post("/portal", data={**form_of(browser, "/portal"), **goods, **foreign})
        assert refused.status_code == 422, foreign


def test_the_portal_wants_a_proof_and_its_own_form(client: TestClient, customer: tuple[TestClient, str]) -> None:
    browser, _ = customer
    goods = {"line.0.sku": "VAL-7461", "line.0.quantity": "3"}
    forged = browser.post("/portal", data={"token": "forged", **goods})
    assert forged.status_code == 422
    assert "not from your session" in forged.text
    browser.cookies.clear()
    assert browser.get("/portal").headers["location"] == "/chat?to=portal"
    assert browser.post("/portal", data=goods).headers["location"] == "/chat?to=portal"


# the first day


def test_files_are_looked_over_with_every_error_by_its_place(client: TestClient, api: Session, tmp_path: Any) -> None:
    signed_in(client, MO)
    token = form_of(client, "/order-entry")["token"]
    before = fingerprint(api)
    api.rollback()
    bad = b"sku,name,uom,units_per_case,category,list_price,unit_cost,export_class,hazmat,status\nX-1,Thing,EA,1,c,cheap,1,EAR99,false,active\n"
    page = client.post(
        "/setup/import", data={"token": token, "verb": "look"}, files=[("files", ("items.csv", bad, "text/csv"))]
    )
    assert "1 error: nothing was imported" in page.text
    assert "list_price" in page.text
    stranger = client.post(
        "/setup/import", data={"token": token}, files=[("files", ("../../etc/passwd", b"x", "text/csv"))]
    )
    assert "none of the files that are read" in stranger.text
    good = (SAMPLE / "world" / "items.csv").read_bytes()
    again = client.post(
        "/setup/import", data={"token": token, "verb": "look"}, files=[("files", ("items.csv", good, "text/csv"))]
    )
    assert "nothing was imported yet" in again.text
    assert (
        client.post(
            "/setup/import", data={"token": token, "verb": "import"}, files=[("files", ("items.csv", good, "text/csv"))]
        ).status_code
        == 403
    )
    assert fingerprint(api) == before


def test_who_lets_nobody_in_sets_nothing_up(client: TestClient) -> None:
    signed_in(client, AVA)
    token = form_of(client, "/order-entry")["token"]
    assert (
        client.post(
            "/setup/import", data={"token": token}, files=[("files", ("items.csv", b"x", "text/csv"))]
        ).status_code
        == 403
    )
    assert (
        client.post(
            "/setup/mailbox", data={"token": token, "address": "imap://u@127.0.0.1:1", "password": "x"}
        ).status_code
        == 403
    )


def test_a_mailbox_or_mail_server_that_cannot_be_used_says_why() -> None:
    assert not look_into("orders@example.com", "x").well
    assert "no mailbox" in look_into("orders@example.com", "x").text
    assert "127.0.0.1 says" in look_into("imap://u@127.0.0.1:1/INBOX", "x").text
    assert "127.0.0.1 says" in greet("smtp://127.0.0.1:1", "").text
    assert "no mail server" in greet("mail.example.com", "").text


def test_a_colleague_asks_for_a_change_of_an_order_on_its_page(client: TestClient, api: Session) -> None:
    """What comes of the form is a proposal on a case of that order, with a letter whose day the core fills in; nothing changes before it is signed."""
    signed_in(client, AVA)
    before = fingerprint(api)
    order = sales.order(api, "SO-40257")
    quantities = {f"line.{x.line}": str(x.quantity_ordered) for x in order.lines}
    api.rollback()
    form = {k: v for k, v in form_of(client, "/orders/SO-40257").items() if k in ("token", "key")}
    same = client.post("/orders/SO-40257/change", data={**form, **quantities, "reason": "by phone", "what": "change"})
    assert same.status_code == 422
    assert "changes at least one thing" in same.text
    said = {
        **quantities,
        "line.2": "6",
        "new.sku": "val-1166",
        "new.quantity": "3",
        "reason": "by phone",
        "tell": "1",
        "what": "change",
    }
    answer = client.post("/orders/SO-40257/change", data={**form, **said})
    assert answer.status_code == 303, answer.text
    case = int(answer.headers["location"].rsplit("/", 1)[1])
    proposal = desk.pending(api, case)
    assert proposal is not None
    amended, letter = proposal.commands
    assert amended == {
        "type": "amend_order",
        "order": "SO-40257",
        "changes": [{"line": 2, "quantity": "6"}, {"sku": "VAL-1166", "quantity": "3"}],
    }
    assert "{promised_date:SO-40257:en}" in letter["body"]
    assert desk.case(api, case).order_number == "SO-40257"
    assert fingerprint(api) == before
    seen = client.get(f"/cases/{case}").text
    assert "Sign both" in seen or "Sign" in seen
    assert "promised_date" not in seen.split("Amend the commands")[0]


def test_an_order_that_left_and_a_person_who_may_not_are_offered_no_change(client: TestClient) -> None:
    signed_in(client, AVA)
    assert "/orders/SO-40321/change" not in client.get("/orders/SO-40321").text
    signed_in(client, "lee.voss@northfieldsupply.example")
    assert "/orders/SO-40257/change" not in client.get("/orders/SO-40257").text
