"""Every endpoint that changes something: the same key and content have one effect and one answer, whatever happens in between."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from sqlalchemy import func, select, text

from api import events, v1
from api.app import make_app
from erp_core import clock, db
from erp_core.actions import access
from erp_core.tables.desk import JournalEntry
from tests.api.test_events import basket, released, shipped

ALL = "all@northfieldsupply.example"
ROLES = ["customer_service", "supervisor", "data_steward", "order_channel", "warehouse_system", "carrier_system"]


@dataclass(frozen=True)
class Call:
    """One request that changes something, another body for the same key, and a body that is refused under it."""

    path: str
    body: dict[str, Any]
    other: dict[str, Any]
    refused: dict[str, Any] | None = None


def place() -> Call:
    good = basket()
    bad = {**good, "lines": [{"sku": "NO-SUCH", "quantity": "1"}]}
    return Call("/api/v1/orders", good, {**good, "customer_po": "OTHER"}, bad)


def bulk() -> Call:
    good = {"orders": [{**basket(), "customer_po": "B1"}, {**basket(), "customer_po": "B2"}]}
    return Call("/api/v1/orders/bulk", good, {"orders": [{**basket(), "customer_po": "B3"}]})


def change() -> Call:
    order = released().number
    body = {"type": "amend_order", "order": order, "requested_date": "2026-07-01"}
    bad = {"type": "amend_order", "order": order, "changes": [{"sku": "NO-SUCH", "quantity": "1"}]}
    return Call(f"/api/v1/orders/{order}/changes", body, {**body, "requested_date": "2026-07-02"}, bad)


def command() -> Call:
    body = {"type": "place_hold", "order": released().number, "reason": "manual", "note": "wait"}
    return Call("/api/v1/commands", body, {**body, "note": "wait more"}, {**body, "order": "SO-NONE"})


def proposal() -> Call:
    body = {"commands": [{"type": "set_credit_limit", "customer": "C1001", "credit_limit": "9000"}], "reason": "grown"}
    return Call("/api/v1/proposals", body, {**body, "reason": "shrunk"})


def decision() -> Call:
    with TestClient(make_app()) as client:
        asked = proposal()
        made = client.post(asked.path, json=asked.body, headers=bearer("prepared-1")).json()
    said = {"verdict": "approve", "digest": made["digest"], "reason": "agreed"}
    return Call(f"/api/v1/proposals/{made['id']}/decisions", said, {**said, "verdict": "reject"})


def event() -> Call:
    order = released()
    return Call("/api/v1/events/wms-1", shipped(order, "e-1"), shipped(order, "e-1", "SH-OTHER"))


CALLS: dict[str, Callable[[], Call]] = {
    "/api/v1/orders": place,
    "/api/v1/orders/bulk": bulk,
    "/api/v1/orders/{number}/changes": change,
    "/api/v1/commands": command,
    "/api/v1/proposals": proposal,
    "/api/v1/proposals/{number}/decisions": decision,
    "/api/v1/events/{source}": event,
}


def bearer(key: str) -> dict[str, str]:
    with db.transaction(db.API) as session:
        return {
            "Authorization": f"Bearer {access.issue_token(session, ALL, clock.now(session))}",
            "Idempotency-Key": key,
        }


@pytest.fixture
def client(database: str) -> Iterator[TestClient]:
    with db.transaction(db.API) as session:
        session.execute(text("INSERT INTO app_user VALUES (:e, 'All', :r, 10000)"), {"e": ALL, "r": ROLES})
    with TestClient(make_app(), follow_redirects=False) as made:
        yield made


def journal() -> int:
    with db.reading(db.API) as session:
        return session.scalar(select(func.count()).select_from(JournalEntry)) or 0


def test_no_endpoint_that_changes_something_is_left_out() -> None:
    routes = [r for router in (v1.router, events.router) for r in router.routes if isinstance(r, APIRoute)]
    assert {r.path for r in routes if r.methods - {"GET", "HEAD"}} == CALLS.keys()


@pytest.mark.parametrize("path", CALLS)
def test_again_across_a_restart_gives_the_first_answer_and_other_content_is_refused(
    client: TestClient, path: str
) -> None:
    call, headers = CALLS[path](), bearer("same-key-1")
    first = client.post(call.path, json=call.body, headers=headers)
    assert first.status_code < 300
    done = journal()
    answers = [client.post(call.path, json=call.body, headers=headers) for _ in range(2)]
    db.forget_engines()
    with TestClient(make_app()) as restarted:
        answers += [restarted.post(call.path, json=call.body, headers=headers) for _ in range(2)]
    assert [(a.status_code, a.json()) for a in answers] == [(first.status_code, first.json())] * 4
    other = client.post(call.path, json=call.other, headers=headers)
    assert 400 <= other.status_code < 500
    assert journal() == done


@pytest.mark.parametrize("path", CALLS)
def test_five_at_once_have_one_effect(client: TestClient, path: str) -> None:
    call, headers, answers = CALLS[path](), bearer("same-key-2"), []
    gate = threading.Barrier(5)

    def send() -> None:
        gate.wait()
        answers.append(client.post(call.path, json=call.body, headers=headers))

    threads = [threading.Thread(target=send) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done = journal()
    told = [(a.status_code, a.json()) for a in answers if a.status_code != 409]
    assert len(told) >= 1
    assert told == [told[0]] * len(told)
    assert client.post(call.path, json=call.body, headers=headers).json() == told[0][1]
    assert journal() == done


@pytest.mark.parametrize("made", [place, change, command])
def test_what_is_refused_burns_no_key(client: TestClient, made: Callable[[], Call]) -> None:
    call, headers = made(), bearer("same-key-3")
    assert 400 <= client.post(call.path, json=call.refused, headers=headers).status_code < 500
    assert client.post(call.path, json=call.body, headers=headers).status_code < 300
