"""The HTTP interface: sign-in, authority, idempotency, and the same outcomes as the console."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from agent.ingest import triage
from api.app import make_app
from erp_core import clock, db
from erp_core.actions import access
from erp_core.db import Session
from erp_core.tables.sales import SalesOrder
from tests.agent.test_worker import sample

AVA, BEN, LEE = (f"{n}@northfieldsupply.example" for n in ("ava.stone", "ben.ortiz", "lee.voss"))
PASSWORD = "a long password"


@pytest.fixture
def client(database: str) -> Iterator[TestClient]:
    with db.transaction(db.API) as session:
        access.set_password(session, AVA, PASSWORD)
    with TestClient(make_app(), follow_redirects=False) as made:
        yield made


def bearer(email: str) -> dict[str, str]:
    with db.transaction(db.API) as session:
        return {"Authorization": f"Bearer {access.issue_token(session, email, clock.now(session))}"}


def test_nothing_is_shown_without_signing_in(client: TestClient) -> None:
    assert client.get("/api/v1/cases").status_code == 401
    page = client.get("/cases/1")
    assert (page.status_code, page.headers["location"]) == (303, "/signin?next=/cases/1")
    assert client.get("/healthz").text == "ok\n"
    assert client.get("/readyz").status_code == 200


def test_five_wrong_passwords_lock_the_account(client: TestClient) -> None:
    for _ in range(5):
        assert client.post("/signin", data={"email": AVA, "password": "wrong"}).status_code == 401
    assert client.post("/signin", data={"email": AVA, "password": PASSWORD}).status_code == 429


def test_a_form_of_another_site_is_refused(client: TestClient) -> None:
    client.post("/signin", data={"email": AVA, "password": PASSWORD})
    answer = client.post("/cases/1/assign", data={"token": "guessed"})
    assert answer.status_code == 403
    assert "not from your session" in answer.text


def test_a_redirect_after_sign_in_stays_on_the_site(client: TestClient) -> None:
    answer = client.post("/signin", data={"email": AVA, "password": PASSWORD, "next": "//evil.example"})
    assert answer.headers["location"] == "/"


def test_pages_allow_no_script_of_others(client: TestClient) -> None:
    policy = client.get("/signin").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_an_order_is_placed_once_a_key(client: TestClient) -> None:
    body = {"customer": "C1001", "lines": [{"sku": "ELC-8109", "quantity": "1"}]}
    headers = {**bearer(AVA), "Idempotency-Key": "12345678"}
    first, second = (client.post("/api/v1/orders", json=body, headers=headers) for _ in range(2))
    assert first.status_code == 201
    assert first.json() == second.json()
    assert client.post("/api/v1/orders", json={**body, "customer_po": "X"}, headers=headers).status_code == 422
    assert client.post("/api/v1/orders", json=body, headers={**headers, **bearer(BEN)}).status_code == 403


def test_bad_input_names_the_field(client: TestClient) -> None:
    answer = client.post(
        "/api/v1/orders",
        json={"customer": "C1001", "lines": []},
        headers={**bearer(AVA), "Idempotency-Key": "12345678"},
    )
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][-1] == "lines"
    assert client.get("/api/v1/cases/999999", headers=bearer(AVA)).status_code == 404


def test_a_decision_by_http_has_the_outcomes_of_the_console(client: TestClient, worker: Any, api: Session) -> None:
    line = triage(worker, sample("0075.eml"))
    number = line["proposal"]["id"]
    shown = client.get(f"/api/v1/proposals/{number}", headers=bearer(AVA)).json()
    said = {"verdict": "approve", "digest": shown["digest"], "reason": "typo"}
    assert (
        client.post(
            f"/api/v1/proposals/{number}/decisions", json=said, headers={**bearer(LEE), "Idempotency-Key": "lee-12345"}
        ).json()["outcome"]
        == "refused"
    )
    assert (
        client.post(
            f"/api/v1/proposals/{number}/decisions", json=said, headers={**bearer(AVA), "Idempotency-Key": "ava-12345"}
        ).json()["outcome"]
        == "executed"
    )
    order = api.scalars(select(SalesOrder).where(SalesOrder.number == line["order"])).one()
    assert 40 in [x.quantity_ordered for x in order.lines]
    tags = [e["tag"] for e in client.get(f"/api/v1/journal?case={line['case']}", headers=bearer(AVA)).json()]
    assert "case:proposal:refused" in tags
    assert "order:sales:amended" in tags


def test_every_page_renders(client: TestClient, worker: Any) -> None:
    cases = [triage(worker, sample(n))["case"] for n in ("0075.eml", "0015.eml", "0043.eml")]
    client.post("/signin", data={"email": AVA, "password": PASSWORD})
    for path in (
        "/",
        "/?queue=security",
        "/?q=PO17873",
        "/?mine=1",
        "/?closed=1",
        "/?snoozed=1",
        "/journal",
        "/policy",
        "/rail",
        "/orders/SO-40210",
    ):
        assert client.get(path).status_code == 200, path
    for case in cases:
        page = client.get(f"/cases/{case}")
        assert page.status_code == 200
        assert "<script>" not in page.text
    assert client.get("/orders/SO-0").status_code == 404


def test_the_interface_describes_itself(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/api/v1/cases", "/api/v1/proposals/{number}/decisions", "/api/v1/orders"} <= set(paths)


@pytest.mark.parametrize("path", ["/fulfilment", "/master-data", "/orders/SO-40232", "/journal", "/policy", "/"])
def test_every_page_opens_for_who_is_signed_in(client: TestClient, path: str) -> None:
    client.post("/signin", data={"email": AVA, "password": PASSWORD})
    answer = client.get(path)
    assert answer.status_code == 200
    assert "</html>" in answer.text
