"""The chat over HTTP: codes, secrets, who may see what, and news as they come."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from agent.chatting import Assistant
from api.app import make_app
from erp_core import db
from erp_core.actions import access
from erp_core.queries import chats as queries
from erp_core.tables.chat import ChatCode
from erp_core.tables.desk import Message, OutboxMail

SOFIA = "sofia.lindqvist@redstoneelectric.example"
OTHER = "nadia.patel@copperhillpropertyservices.example"
AVA = "ava.stone@northfieldsupply.example"


@pytest.fixture
def http(database: str) -> Iterator[TestClient]:
    with TestClient(make_app()) as client:
        yield client


def code() -> str:
    with db.reading(db.API) as session:
        return session.scalars(select(OutboxMail.subject).order_by(OutboxMail.id.desc())).first() or ""


def opened(http: TestClient, email: str = SOFIA) -> dict[str, str]:
    """The header of a chat in which somebody is known."""
    secret = http.post("/api/v1/chat", json={"email": email}).json()["secret"]
    http.cookies.clear()
    header = {"Authorization": f"Bearer {secret}"}
    assert http.post("/api/v1/chat/code", json={"code": code()}, headers=header).status_code == 200
    return header


def test_known_and_unknown_addresses_get_the_same_answer(http: TestClient) -> None:
    known, unknown = (http.post("/api/v1/chat", json={"email": e}).json() for e in (SOFIA, "who@nowhere.example"))
    assert known["text"] == unknown["text"]
    assert known.keys() == unknown.keys()
    http.cookies.clear()
    refused = [
        http.post("/api/v1/chat/code", json={"code": "000000"}, headers={"Authorization": f"Bearer {a['secret']}"})
        for a in (known, unknown)
    ]
    assert [r.status_code for r in refused] == [403, 403]
    assert refused[0].json() == refused[1].json()


def test_wrong_codes_are_counted_though_each_is_refused(http: TestClient) -> None:
    secret = http.post("/api/v1/chat", json={"email": SOFIA}).json()["secret"]
    right = code()
    wrong = f"{(int(right) + 1) % 10**6:06d}"
    header = {"Authorization": f"Bearer {secret}"}
    said = [http.post("/api/v1/chat/code", json={"code": wrong}, headers=header).status_code for _ in range(6)]
    assert said == [403, 403, 403, 403, 403, 429]
    assert http.post("/api/v1/chat/code", json={"code": right}, headers=header).status_code == 429
    with db.reading(db.API) as session:
        assert session.scalars(select(ChatCode.tries)).one() == 5


def test_nothing_is_said_before_somebody_is_known(http: TestClient) -> None:
    secret = http.post("/api/v1/chat", json={"email": SOFIA}).json()["secret"]
    header = {"Authorization": f"Bearer {secret}"}
    assert http.post("/api/v1/chat/messages", json={"text": "Where is SO-40352?"}, headers=header).status_code == 422
    assert http.get("/api/v1/chat/messages", headers=header).json() == []
    for path in ("/api/v1/chat", "/api/v1/chat/messages", "/api/v1/chat/events"):
        http.cookies.clear()
        assert http.get(path).status_code in (401, 403)
        assert http.get(path, headers={"Authorization": "Bearer nonsense"}).status_code in (401, 403)


def test_a_question_is_answered_and_the_answer_comes_as_an_event(http: TestClient, worker: Any) -> None:
    header = opened(http)
    made = http.post("/api/v1/chat/messages", json={"text": "Where is SO-40352?"}, headers=header).json()["id"]
    answering = threading.Timer(0.5, Assistant(worker).step)
    answering.start()
    seen: list[tuple[str, Any]] = []
    with http.stream("GET", f"/api/v1/chat/events?after={made}", headers=header) as answer:
        kind = ""
        for line in answer.iter_lines():
            if line.startswith("event:"):
                kind = line.removeprefix("event:").strip()
            elif line.startswith("data:"):
                seen.append((kind, json.loads(line.removeprefix("data:"))))
                if kind == "message":
                    with db.transaction(db.API) as session:
                        from erp_core import clock
                        from erp_core.actions import chats

                        chat = queries.numbered(session, 1)
                        chats.close(session, chat, actor="test", now=clock.now(session))
    answering.join()
    kinds = [k for k, _ in seen]
    assert "message" in kinds
    told = next(d for k, d in seen if k == "message")
    assert (told["by"], "Your order SO-40352" in told["text"]) == ("agent", True)
    assert [d["step"] for k, d in seen if k == "step"] in (["reading", "looking_up", "checking"], [])
    assert seen[-1][1]["state"] == "closed"


def test_one_chat_sees_nothing_of_another(http: TestClient, worker: Any) -> None:
    mine, other = opened(http), opened(http, OTHER)
    http.post("/api/v1/chat/messages", json={"text": "Where is SO-40352?"}, headers=mine)
    Assistant(worker).step()
    assert len(http.get("/api/v1/chat/messages", headers=mine).json()) == 2
    assert http.get("/api/v1/chat/messages", headers=other).json() == []


def test_an_answer_that_names_somebody_elses_document_is_not_shown(http: TestClient, worker: Any) -> None:
    """Whatever the agent's side writes down, the last look before it leaves is the core's."""
    header = opened(http)
    http.post("/api/v1/chat/messages", json={"text": "hi"}, headers=header)
    Assistant(worker).step()
    with db.transaction(db.OWNER) as session:
        one = session.scalars(select(Message).where(Message.direction == "out")).one()
        one.parsed = {**one.parsed, "newest": "Order SO-40349 of Falcon is on hold."}
    said = http.get("/api/v1/chat/messages", headers=header).json()
    assert "SO-40349" not in str(said)
    assert "Falcon" not in str(said)


def test_text_is_shown_as_text(http: TestClient, worker: Any) -> None:
    header = opened(http)
    bad = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    http.post("/api/v1/chat/messages", json={"text": bad}, headers=header)
    Assistant(worker).step()
    http.cookies.set("countersign_chat", header["Authorization"].removeprefix("Bearer "))
    page = http.get("/chat").text
    assert "<script>alert" not in page
    assert "onerror=alert(2)&gt;" in page


def test_a_colleague_sees_the_talk_takes_over_and_answers(http: TestClient, worker: Any) -> None:
    header = opened(http)
    http.post("/api/v1/chat/messages", json={"text": "I want to speak to a person"}, headers=header)
    Assistant(worker).step()
    with db.transaction(db.API) as session:
        access.set_password(session, AVA, "correct horse battery")
        case = queries.numbered(session, 1).case_id
    http.post("/signin", data={"email": AVA, "password": "correct horse battery"})
    page = http.get(f"/cases/{case}").text
    assert "I want to speak to a person" in page
    token = page.split('name="token" value="')[1].split('"')[0]
    assert http.post(f"/cases/{case}/chat", data={"token": token, "verb": "take"}).status_code == 200
    assert (
        http.post(f"/cases/{case}/chat", data={"token": token, "verb": "reply", "text": "Ava here."}).status_code == 200
    )
    said = http.get("/api/v1/chat/messages", headers=header).json()
    assert (said[-1]["by"], said[-1]["text"], said[-1]["name"]) == ("colleague", "Ava here.", "Ava Stone")
    http.post("/api/v1/chat/messages", json={"text": "thanks, where is SO-40352?"}, headers=header)
    assert Assistant(worker).step() is None


def test_a_colleague_asks_in_the_console(http: TestClient, worker: Any) -> None:
    with db.transaction(db.API) as session:
        access.set_password(session, AVA, "correct horse battery")
    http.post("/signin", data={"email": AVA, "password": "correct horse battery"})
    token = http.get("/assistant").text.split('name="token" value="')[1].split('"')[0]
    page = http.post("/assistant", data={"token": token, "customer": "C1018"})
    chat = int(str(page.url).split("chat=")[1])
    http.post(f"/assistant/{chat}/say", data={"token": token, "text": "where is SO-40352"})
    Assistant(worker).step()
    assert "Your order SO-40352" in http.get(f"/assistant?chat={chat}").text
    assert http.get("/assistant?chat=999").status_code == 404


def test_without_scripts_the_forms_do_the_same(http: TestClient, worker: Any) -> None:
    assert "code is on its way" in http.post("/chat/ask", data={"email": SOFIA, "language": "es"}).text
    assert "wrong or too old" in http.post("/chat/code", data={"code": "nope"}).text
    assert "Identified as Sofia" in http.post("/chat/code", data={"code": code()}).text
    http.post("/chat/say", data={"text": "¿Dónde está mi pedido SO-40352?"})
    Assistant(worker).step()
    assert "Su pedido SO-40352" in http.get("/chat").text
