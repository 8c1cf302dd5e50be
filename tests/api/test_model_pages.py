"""Models in the console: what is in use and why, promotion by two people's hands, what an order's page shows, and feedback in one click."""

# ruff: noqa: F811 - fixtures are named as what they give
from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from sqlalchemy import select

from erp_core import casework, db
from erp_core.actions import access, execute
from erp_core.commands import ReportModel
from erp_core.queries import models as queries
from erp_core.tables.models import FeedbackSample
from erp_core.values import MODELS
from tests.api.test_http import AVA, PASSWORD, TestClient, client  # noqa: F401 - the fixture
from tests.conftest import TODAY
from tests.core.test_model_versions import GOOD, IDA, JON, adopted, trained

LEE = "lee.voss@northfieldsupply.example"


def sign_in(client: TestClient, email: str) -> str:
    client.cookies.clear()
    with db.transaction(db.API) as session:
        access.set_password(session, email, PASSWORD)
    client.post("/signin", data={"email": email, "password": PASSWORD})
    found = re.search(r'name="token" value="([^"]+)"', client.get("/models").text)
    assert found is not None
    return found.group(1)


@pytest.fixture
def champion(database: str) -> int:
    """A version that is in use, and what it said of an order."""
    version = adopted()
    rows: list[dict[str, Any]] = [
        {
            "subject": "sales_order:SO-40285", "question": "held", "value": 0.81,
            "reasons": [{"text": "about 60% of its bills of a year were paid late", "share": 1.4}, {"text": "nothing is overdue", "share": -0.3}],
        },
        {"subject": "sales_order:SO-40285", "question": "credit", "value": 0.7},
    ]  # fmt: skip
    with db.transaction(db.AGENT) as session:
        casework.record_predictions(session, version, "champion", rows)
    return version


def test_an_orders_page_shows_the_score_its_reasons_and_which_version_said_so(
    client: TestClient, champion: int
) -> None:
    sign_in(client, AVA)
    page = client.get("/orders/SO-40285").text
    assert "Held before it ships?" in page
    assert "Very likely" in page
    assert "mostly for credit" in page
    assert "About 60% of its bills of a year were paid late" in page
    assert f'href="/models/{champion}"' in page
    assert "learned from a simulated history" in page
    said = client.get("/api/v1/orders/SO-40285/predictions").json()
    assert {(s["question"], s["version"]) for s in said} == {("held", champion), ("credit", champion)}


def test_the_models_page_says_what_is_in_use_and_what_is_still_trained(client: TestClient, champion: int) -> None:
    sign_in(client, AVA)
    page = client.get("/models").text
    assert f"First models are being trained from a simulated history: 1 of {len(MODELS)}" in page
    assert "Hold risk" in page
    assert client.get("/api/v1/models").json()[0]["version"] == champion
    assert client.get("/models/999").status_code == 404


def test_a_better_version_comes_into_use_by_two_peoples_hands(client: TestClient, champion: int) -> None:
    version = trained(trainer=JON)
    token = sign_in(client, JON)
    assert (
        client.post(
            f"/models/{version}/nominate", data={"token": token, "reason": "our own past"}, follow_redirects=False
        ).status_code
        == 303
    )
    refused = client.post(f"/models/{version}/promote", data={"token": token, "reason": "mine"})
    assert refused.status_code == 422
    token = sign_in(client, IDA)
    early = client.post(f"/models/{version}/promote", data={"token": token, "reason": "looks good"})
    assert "countersign eval version" in early.text
    with db.transaction(db.API) as session:
        command = ReportModel(version=version, against=champion, figures={**GOOD, "loss": -0.02})
        execute(session, command, key=f"t:{uuid.uuid4()}", actor="evaluation", now=TODAY)
    page = client.get(f"/models/{version}").text
    assert "Passes." in page
    done = client.post(f"/models/{version}/promote", data={"token": token, "reason": "better"}, follow_redirects=False)
    assert done.status_code == 303
    with db.reading(db.API) as session:
        found = queries.in_use(session, "hold_risk", TODAY.replace(year=2030))
        assert found is not None
        assert found.id == version
    assert client.post(f"/models/{version}/back", data={"token": token}, follow_redirects=False).status_code == 303
    with db.reading(db.API) as session:
        found = queries.in_use(session, "hold_risk", TODAY.replace(year=2030))
        assert found is not None
        assert found.id == champion


def test_a_worse_version_cannot_be_signed(client: TestClient, champion: int) -> None:
    version = trained(trainer=JON)
    token = sign_in(client, JON)
    client.post(f"/models/{version}/nominate", data={"token": token, "reason": "new"})
    with db.transaction(db.API) as session:
        command = ReportModel(version=version, against=champion, figures={**GOOD, "loss": 0.08})
        execute(session, command, key=f"t:{uuid.uuid4()}", actor="evaluation", now=TODAY)
    token = sign_in(client, IDA)
    page = client.get(f"/models/{version}").text
    assert "worse than version" in page
    assert re.search(r"disabled[^>]*>.{0,200}Bring into use", page, re.S)
    answer = client.post(f"/models/{version}/promote", data={"token": token, "reason": "anyway"})
    assert answer.status_code == 422
    assert "worse than version" in answer.text


def test_an_auditor_looks_and_changes_nothing(client: TestClient, champion: int) -> None:
    version = trained(trainer=JON)
    token = sign_in(client, LEE)
    assert client.get(f"/models/{version}").status_code == 200
    for path in (f"/models/{version}/nominate", f"/models/{version}/promote", f"/models/{champion}/back"):
        assert client.post(path, data={"token": token, "reason": "because"}).status_code == 422


def test_this_was_wrong_keeps_a_sample_that_somebody_else_reviews(client: TestClient, champion: int) -> None:
    with db.transaction(db.AGENT) as session:
        told = {
            "source": None,
            "sender": "a@b.example",
            "sender_name": "A",
            "subject": "Hi",
            "sent_at": None,
            "raw": b"x",
            "parsed": {"newest": "Where is it?"},
        }
        case = casework.record_message(session, message_id="<w@x>", **told).case  # type: ignore[arg-type]
    token = sign_in(client, AVA)
    client.post(f"/cases/{case}/sample", data={"token": token, "why": "it was a complaint", "intent": "complaint"})
    client.post("/samples/1", data={"token": token, "verdict": "accept"})
    with db.reading(db.API) as session:
        kept = session.scalars(select(FeedbackSample)).one()
    assert (kept.status, kept.kept_by, kept.content["wanted"]) == ("proposed", AVA, {"intent": "complaint"})
    token = sign_in(client, IDA)
    assert "it was a complaint" in client.get("/models").text
    client.post(f"/samples/{kept.id}", data={"token": token, "verdict": "accept"})
    with db.reading(db.API) as session:
        assert session.scalars(select(FeedbackSample)).one().status == "accepted"


def test_a_purchase_order_says_when_its_lines_will_probably_come(client: TestClient, champion: int) -> None:
    version = adopted("late_supply")
    row = {
        "subject": "purchase_order:PO-5102:ELC-7186",
        "question": "days_late",
        "value": 3.2,
        "low": -1.5,
        "high": 9.1,
    }
    with db.transaction(db.AGENT) as session:
        casework.record_predictions(session, version, "champion", [row])
    sign_in(client, IDA)
    page = client.get("/purchase-orders/PO-5102").text
    told = re.findall(r"ELC-7186</span> (will probably come [^.]*)", page)
    assert len(told) == 1
    assert all(day in told[0] for day in ("Jun 26", "Jun 21", "Jul 2"))
