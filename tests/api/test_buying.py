"""The buying side over HTTP: events of docks and suppliers, pages for people, figures for systems."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, text

from api.app import make_app
from api.clock import Figuring
from erp_core import clock, db
from erp_core.actions import access
from erp_core.tables.desk import Case
from erp_core.tables.purchasing import PurchaseOrder
from tests.core.books import books_are_right

WMS, SUP, AVA = (f"{n}@northfieldsupply.example" for n in ("wms", "sup", "ava.stone"))
PASSWORD = "a long password"


@pytest.fixture
def client(database: str) -> Iterator[TestClient]:
    with db.transaction(db.API) as session:
        for email, role in ((WMS, "warehouse_system"), (SUP, "supplier_system")):
            session.execute(text("INSERT INTO app_user VALUES (:e, :e, ARRAY[:r], 0)"), {"e": email, "r": role})
        access.set_password(session, AVA, PASSWORD)
    with TestClient(make_app(), follow_redirects=False) as made:
        yield made


def bearer(email: str) -> dict[str, str]:
    with db.transaction(db.API) as session:
        return {"Authorization": f"Bearer {access.issue_token(session, email, clock.now(session))}"}


def short(number: str = "PO-5124") -> dict[str, Any]:
    """A part of an order with three lines arrives, and nothing more will."""
    with db.reading(db.API) as session:
        order = session.get_one(PurchaseOrder, number)
        lines = [{"line": x.line, "sku": x.sku, "quantity": str(x.quantity * 2 // 5)} for x in order.lines]
        event = {
            "type": "receive_goods",
            "receipt": "GR-1",
            "warehouse": order.warehouse,
            "purchase_order": number,
            "lines": lines,
            "last": True,
            "occurred_at": "2026-06-15T11:00:00Z",
        }
    return {"id": "gr-1", "event": event}


def send(client: TestClient, body: dict[str, Any], who: str = WMS) -> Any:
    return client.post("/api/v1/events/dock", json=body, headers=bearer(who))


def test_a_receipt_reported_twice_is_one_and_every_page_of_it_opens(client: TestClient) -> None:
    answers = [send(client, short()) for _ in range(2)]
    assert [a.json()["outcome"] for a in answers] == ["applied", "applied"]
    bill = {
        "type": "record_bill",
        "supplier": "V205",
        "number": "B 1/2",
        "purchase_order": "PO-5124",
        "invoiced_at": "2026-06-15",
        "currency": "USD",
        "lines": [
            {"order_line": 1, "sku": short()["event"]["lines"][0]["sku"], "quantity": "200", "unit_price": "200.0433"}
        ],
    }
    assert send(client, {"id": "b-1", "event": bill}, SUP).json()["outcome"] == "applied"
    with db.reading(db.API) as session:
        books_are_right(session)
        disruption = session.scalars(select(Case.disruption_id).where(Case.disruption_id.is_not(None))).first()
        cases = list(session.scalars(select(Case.id).where(Case.disruption_id == disruption)))
    client.post("/signin", data={"email": AVA, "password": PASSWORD})
    pages = ["/purchasing", "/purchase-orders/PO-5124", "/receipts/GR-1", f"/disruptions/{disruption}"]
    for path in (*pages, "/bills/V205/B%201%2F2", *(f"/cases/{c}" for c in cases)):
        answer = client.get(path)
        assert answer.status_code == 200, (path, answer.text[:300])
        assert "None" not in answer.text.replace("None of", ""), path
    for path in ("/purchase-orders/NO", "/receipts/NO", "/bills/V205/NO", "/disruptions/999"):
        assert client.get(path).status_code == 404, path


def test_systems_read_orders_needs_suppliers_disruptions_and_stock(client: TestClient) -> None:
    send(client, short())
    headers = bearer(WMS)
    assert client.get("/api/v1/purchase-orders/PO-5124", headers=headers).json()["status"] == "received"
    assert client.get("/api/v1/disruptions", headers=headers).json()[0]["purchase_order"] == "PO-5124"
    assert any(
        s["code"] == "V205" and s["orders"] == 1 for s in client.get("/api/v1/suppliers", headers=headers).json()
    )
    sku = short()["event"]["lines"][0]["sku"]
    stock = client.get(f"/api/v1/availability/{sku}", headers=headers).json()
    assert {w["warehouse"] for w in stock["warehouses"]} >= {"W01", "W02"}
    assert client.get("/api/v1/needs", headers=headers).status_code == 200
    assert client.get("/api/v1/availability/NO", headers=headers).status_code == 404


def test_what_cannot_be_received_waits_for_a_person(client: TestClient) -> None:
    body = short()
    body["event"]["lines"][0]["uom"] = "ZZ"
    answer = send(client, body).json()
    assert (answer["outcome"], answer["problems"][0]["code"]) == ("case", "unit_unknown")
    with db.reading(db.API) as session:
        case = session.scalars(select(Case).where(Case.kind == "integration_failure")).one()
        assert case.queue == "receiving"
        assert case.details["event"]["receipt"] == "GR-1"


def test_a_supplier_system_confirms_and_bills_and_nothing_else(client: TestClient) -> None:
    confirm = {"type": "acknowledge_purchase", "purchase_order": "PO-5103", "expected_date": "2026-07-20"}
    assert send(client, {"id": "a", "event": confirm}, SUP).json()["outcome"] == "applied"
    assert send(client, short(), SUP).status_code == 403


def test_every_figure_has_one_definition_and_can_be_cut_by_firm(client: TestClient) -> None:
    send(client, short())
    Figuring().look()
    told = {f["name"]: f for f in client.get("/api/v1/figures?days=400", headers=bearer(WMS)).json()}
    assert [v["value"] for v in told["Receipt accuracy"]["values"]] == ["0.0000"]
    assert 0 < float(told["Touchless rate"]["values"][0]["value"]) < 1
    assert {v["cut"] for v in told["Order cycle time"]["values"]} >= {"edi", "email"}
    own = {f["name"]: f for f in client.get("/api/v1/figures?days=400&entity=NS2", headers=bearer(WMS)).json()}
    assert own["Receipt accuracy"]["values"] == []  # that receipt was the other firm's
    client.post("/signin", data={"email": AVA, "password": PASSWORD})
    for path in ("/figures", "/figures?days=400&entity=NS1", "/fulfilment"):
        assert client.get(path).status_code == 200, path
    assert client.get("/figures?role=NO").status_code == 404
    assert client.get("/figures/no-such-figure").status_code == 404
