"""Other systems report and ask: each thing once, in any order, nothing lost, under their own authority."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, text

from api.app import make_app
from erp_core import clock, db
from erp_core.actions import access, requests
from erp_core.tables.billing import Invoice
from erp_core.tables.catalog import Item
from erp_core.tables.desk import Case
from erp_core.tables.parties import Customer
from erp_core.tables.sales import SalesOrder
from tests.core.books import books_are_right

WMS, EDI, REP = (f"{n}@northfieldsupply.example" for n in ("wms", "edi", "rep"))
ROLES = {WMS: "warehouse_system", EDI: "order_channel", REP: "customer_service"}


@pytest.fixture
def client(database: str) -> Iterator[TestClient]:
    with db.transaction(db.API) as session:
        for email, role in ROLES.items():
            session.execute(text("INSERT INTO app_user VALUES (:e, :e, ARRAY[:r], 0)"), {"e": email, "r": role})
    with TestClient(make_app(), follow_redirects=False) as made:
        yield made


def bearer(email: str, key: str | None = None) -> dict[str, str]:
    with db.transaction(db.API) as session:
        token = access.issue_token(session, email, clock.now(session))
    return {"Authorization": f"Bearer {token}", **({"Idempotency-Key": key} if key else {})}


def released() -> SalesOrder:
    with db.reading(db.API) as session:
        query = select(SalesOrder).where(SalesOrder.status == "released").order_by(SalesOrder.number)
        return next(o for o in session.scalars(query) if o.lines)


def shipped(order: SalesOrder, number: str, shipment: str = "SH-E1") -> dict[str, Any]:
    with db.reading(db.API) as session:
        lines = session.get_one(SalesOrder, order.number).lines
        goods = [{"line": x.line, "quantity": str(x.quantity_released)} for x in lines if x.quantity_released]
    event = {
        "type": "confirm_shipment",
        "shipment": shipment,
        "order": order.number,
        "warehouse": order.warehouse,
        "lines": goods,
        "occurred_at": "2026-06-15T12:00:00Z",
    }
    return {"id": number, "event": event}


def send(client: TestClient, body: dict[str, Any], who: str = WMS) -> Any:
    return client.post("/api/v1/events/wms-1", json=body, headers=bearer(who))


def test_a_shipment_reported_three_times_leaves_and_is_billed_once(client: TestClient) -> None:
    order = released()
    body = shipped(order, "e-1")
    answers = [send(client, body) for _ in range(3)]
    assert [a.status_code for a in answers] == [200, 200, 200]
    assert answers[0].json() == answers[1].json() == answers[2].json()
    assert answers[0].json()["outcome"] == "applied"
    with db.reading(db.API) as session:
        assert session.get_one(SalesOrder, order.number).status == "invoiced"
        bills = select(func.count()).select_from(Invoice).where(Invoice.shipment == "SH-E1")
        assert session.scalar(bills) == 1
        books_are_right(session)


def test_a_number_used_for_another_event_is_refused(client: TestClient) -> None:
    order = released()
    assert send(client, shipped(order, "e-1")).status_code == 200
    assert send(client, {**shipped(order, "e-1", "SH-OTHER")}).status_code == 422


def test_what_cannot_be_applied_waits_for_a_person_with_the_reason(client: TestClient) -> None:
    order = released()
    wrong = shipped(order, "e-9")
    wrong["event"]["warehouse"] = "NOWHERE"
    for _ in range(2):
        answer = send(client, wrong).json()
        assert answer["outcome"] == "case"
        assert answer["problems"][0]["code"] == "wrong_warehouse"
    with db.reading(db.API) as session:
        case = session.scalars(select(Case).where(Case.kind == "integration_failure")).one()
        assert case.details["event"]["order"] == order.number
        assert session.get_one(SalesOrder, order.number).status == "released"


def test_a_delivery_may_come_before_its_shipment(client: TestClient) -> None:
    order = released()
    early = {"type": "confirm_delivery", "shipment": "SH-E1", "occurred_at": "2026-06-15T12:30:00Z"}
    assert send(client, {"id": "e-2", "event": early}).json()["outcome"] == "waiting"
    assert send(client, shipped(order, "e-1")).json()["outcome"] == "applied"
    with db.reading(db.API) as session:
        row = session.execute(text("SELECT delivered_at FROM shipment WHERE number = 'SH-E1'")).scalar_one()
        assert row is not None


def test_only_who_may_report_reports(client: TestClient) -> None:
    assert send(client, shipped(released(), "e-1"), REP).status_code == 403
    assert client.post("/api/v1/events/wms-1", json={}).status_code in (401, 422)
    assert (
        client.post("/api/v1/events/NOT A NAME", json=shipped(released(), "x"), headers=bearer(WMS)).status_code == 422
    )


def basket() -> dict[str, Any]:
    with db.reading(db.API) as session:
        customer = session.scalars(
            select(Customer.code).where(Customer.status == "active").order_by(Customer.code)
        ).first()
        sku = session.scalars(
            select(Item.sku).where(Item.uom == "EA", Item.status == "active").order_by(Item.sku)
        ).first()
    return {"customer": customer, "channel": "edi", "lines": [{"sku": sku, "quantity": "1"}]}


def test_many_orders_at_once_and_a_bad_one_stops_no_other(client: TestClient) -> None:
    good = basket()
    bad = {**good, "lines": [{"sku": "NO-SUCH", "quantity": "1"}]}
    body = {"orders": [{**good, "customer_po": "B1"}, bad, {**good, "customer_po": "B2"}]}
    answers = [client.post("/api/v1/orders/bulk", json=body, headers=bearer(EDI, "bulk-0001")) for _ in range(2)]
    assert [a.status_code for a in answers] == [200, 200]
    first, second = answers[0].json(), answers[1].json()
    assert [bool(x["subject"]) for x in first] == [True, False, True]
    assert first[1]["problems"][0]["code"] == "item_unknown"
    assert [x["subject"] for x in second] == [x["subject"] for x in first]


def test_a_refused_order_does_not_burn_its_key(client: TestClient) -> None:
    good = basket()
    bad = {**good, "lines": [{"sku": "NO-SUCH", "quantity": "1"}]}
    assert client.post("/api/v1/orders", json=bad, headers=bearer(EDI, "key-00001")).status_code == 422
    assert client.post("/api/v1/orders", json=good, headers=bearer(EDI, "key-00001")).status_code == 201
    assert (
        client.post("/api/v1/orders", json={**good, "customer_po": "X"}, headers=bearer(EDI, "key-00001")).status_code
        == 422
    )


def test_a_change_that_comes_too_late_is_passed_on(client: TestClient) -> None:
    order = released()
    change = {"type": "cancel_order", "order": order.number}
    pick = {
        "type": "confirm_pick",
        "order": order.number,
        "warehouse": order.warehouse,
        "occurred_at": "2026-06-15T12:00:00Z",
    }
    assert send(client, {"id": "p", "event": pick}).json()["outcome"] == "applied"
    asked = client.post(f"/api/v1/orders/{order.number}/changes", json=change, headers=bearer(REP, "change-01")).json()
    assert (asked["outcome"], asked["after"]["queue"]) == ("asked", "warehouse")
    shelf = {**pick, "type": "return_to_shelf"}
    assert send(client, {"id": "s", "event": shelf}).json()["outcome"] == "applied"
    done = client.post(f"/api/v1/orders/{order.number}/changes", json=change, headers=bearer(REP, "change-02")).json()
    assert (done["outcome"], done["after"]["status"]) == ("changed", "cancelled")


def test_hands_in_each_others_way_are_asked_to_come_again(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def deadlock(*_: Any, **__: Any) -> None:
        raise db.Refused.instance("x", None, psycopg.errors.DeadlockDetected("deadlock detected"), psycopg.Error)

    monkeypatch.setattr(requests, "act", deadlock)
    assert send(client, shipped(released(), "e-1")).status_code == 409
    with db.reading(db.API) as session:
        assert session.scalars(select(Case).where(Case.kind == "integration_failure")).first() is None
