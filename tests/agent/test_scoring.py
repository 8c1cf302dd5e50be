"""Scores come after the commit, from the journal's news; what is narrowed to an order says what the whole past says."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from agent import returning, scoring
from agent.scoring import Scorer
from erp_core import casework, clock, db
from erp_core.actions import execute, models, sealing
from erp_core.casework import Trained
from erp_core.commands import CloseCase, NewLine, OpenCase, PlaceOrder, StopAgent
from erp_core.db import Session
from erp_core.queries import learning
from erp_core.queries import models as queries
from erp_core.queries.learning import Wanted
from erp_core.tables.desk import Case
from erp_core.tables.models import ModelUse, Prediction
from erp_core.values import Priority, Queue
from ml import catalog, duplicates, past, simulated, store, tracking
from ml.history import take
from tests.conftest import TODAY
from tests.core.test_model_versions import measured

SIZE = simulated.Size(orders=6000, customers=120, items=80, suppliers=12, days=300)
NAMES = ("hold_risk", "late_shipment", "price_anomaly", "duplicate_order", "case_late", "root_cause")


@pytest.fixture(scope="module")
def made() -> list[catalog.Trained]:
    history = simulated.simulate(5, SIZE)
    return [catalog.train(name, history) for name in NAMES]


@pytest.fixture
def scorer(database: str, made: list[catalog.Trained], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Scorer:
    """A scorer with models in use, from a small simulated past; MLflow is left alone."""
    monkeypatch.setattr(tracking, "mirror", lambda _: None)
    monkeypatch.setattr(store, "folder", lambda: tmp_path)
    with db.transaction(db.AGENT) as session:
        for one in made:
            store.keep(one.text)
            figures = {"gate": {"examples": 5000, "gain_low": 0.1, "calibration_error": 0.0, "score": 1.0}}
            casework.record_model(session, Trained(one.name, one.sha256, "simulated", "d", "c", figures, None))
    with db.transaction(db.API) as session:
        for version in queries.versions(session):
            measured(session, version.id, score=0.99)
        assert set(models.adopt_first(session, TODAY)) == set(NAMES)
    own = Scorer()
    own.step()
    return own


def place(number: str, quantity: int = 5) -> None:
    with db.transaction(db.API) as session:
        lines = [NewLine(sku="VAL-1166", quantity=Decimal(quantity))]
        command = PlaceOrder(
            customer="C1006", number=number, customer_po=number, warehouse="W01", requested_date=None, lines=lines
        )
        execute(session, command, key=number, actor="test", now=clock.now(session))


def seal() -> None:
    with db.transaction(db.API) as session:
        while sealing.sequencer().step(session, TODAY, 0.0) is not None:
            pass


def said(session: Session, order: str) -> dict[str, Any]:
    return {s.question: s for s in queries.said_of(session, f"sales_order:{order}")}


def test_a_new_order_is_scored_once_the_journal_tells_of_it(scorer: Scorer, api: Session) -> None:
    place("SC-1")
    scorer.next_shelves = float("inf")
    seal()
    assert scorer.step() > 0
    found = said(api, "SC-1")
    assert {"held", "credit", "price_anomaly", "duplicate_order"} <= set(found)
    held = found["held"]
    assert 0 <= held.prediction.value <= 1
    assert len(held.prediction.reasons) == 3
    assert held.version.name == "hold_risk"
    assert held.prediction.features is not None
    assert scorer.step() == 0  # nothing new, nothing said again


def test_orders_that_were_there_before_a_model_are_asked_about(scorer: Scorer, api: Session) -> None:
    assert "held" in said(api, "SO-40285")
    # whether a day that is over is missed is no question
    assert "late" not in said(api, "SO-40262")


def test_a_case_is_asked_about_when_it_comes_to_its_queue(scorer: Scorer, api: Session) -> None:
    open_cases = api.scalars(
        select(Case).where(Case.status == "new", Case.due_at.is_not(None), Case.came_at.is_not(None))
    ).all()
    assert len(open_cases) > 20
    for case in open_cases:
        late = {s.question: s for s in queries.said_of(api, f"case:{case.id}")}["case_late"]
        assert 0 <= late.prediction.value <= 1
        assert len(late.prediction.reasons) == 3
    scorer.next_cases = 0.0
    assert scorer.step() == 0  # nothing came, nothing is said again


def test_why_a_case_arose_is_said_once_people_have_said_why_others_did(scorer: Scorer, api: Session) -> None:
    """A model that learned from a simulated past knows nothing of ours before fifty cases were closed with a cause."""
    assert api.scalars(select(Prediction).where(Prediction.question.startswith("cause_"))).all() == []
    with db.transaction(db.API) as session:
        for number in range(60):
            now = clock.now(session) - timedelta(hours=1)
            command = OpenCase(
                kind="request", subject=f"c{number}", title="x", queue=Queue.BILLING, priority=Priority.NORMAL
            )
            execute(session, command, key=f"c{number}", actor="test", now=now)
            case = session.scalars(select(Case.id).where(Case.subject == f"c{number}")).one()
            cause = "our_entry" if number % 6 else "carrier"
            execute(
                session, CloseCase(case=case, resolution="x", root_cause=cause), key=f"d{number}", actor="test", now=now
            )
        command = OpenCase(kind="request", subject="new", title="x", queue=Queue.BILLING, priority=Priority.NORMAL)
        execute(session, command, key="new", actor="test", now=clock.now(session))
    seal()
    scorer.next_cases = 0.0
    assert scorer.step() > 0
    case = api.scalars(select(Case.id).where(Case.subject == "new")).one()
    found = {s.question: s.prediction for s in queries.said_of(api, f"case:{case}")}
    assert found["cause_our_entry"].value > 0.5
    assert any("of such cases" in r["text"] for r in found["cause_our_entry"].reasons)


def test_a_stopped_agent_scores_nothing(scorer: Scorer, api: Session) -> None:
    with db.transaction(db.API) as session:
        execute(
            session,
            StopAgent(entity="*", reason="look first"),
            key="stop",
            actor="ida.marsh@northfieldsupply.example",
            now=TODAY,
        )
    place("SC-2")
    seal()
    assert scorer.step() == 0
    assert said(api, "SC-2") == {}


def test_a_file_that_was_changed_is_not_asked(scorer: Scorer, api: Session, capsys: pytest.CaptureFixture[str]) -> None:
    with db.reading(db.API) as session:
        version = queries.in_use(session, "hold_risk", TODAY)
    assert version is not None
    path = store.folder() / f"{version.sha256}.json"
    kept = path.read_text()
    try:
        path.write_text(kept.replace('"name":"hold_risk"', '"name":"evil_risk"'))
        place("SC-3")
        seal()
        fresh = Scorer()
        fresh.position = scorer.position
        fresh.next_shelves = float("inf")
        fresh.step()
    finally:
        path.write_text(kept)
    found = said(api, "SC-3")
    assert "held" not in found
    assert "price_anomaly" in found
    assert "is not the file that was recorded" in capsys.readouterr().err


def test_what_is_read_for_one_order_says_what_the_whole_past_says(scorer: Scorer, api: Session) -> None:
    """One feature function, in training over everything and in use over what an order needs."""
    order, customer, warehouse = "SO-40285", "C1031", "W01"
    with db.reading(db.AGENT) as session:
        now = clock.now(session)
        skus = sorted(learning.goods_of(session, [order])[order][2])
        wanted = Wanted([customer], [warehouse], skus, earliest=learning.earliest_of(session, [order]))
        narrow = past.read(session, now, scoring.ORDER_TABLES, wanted)
        whole = past.read(session, now, scoring.ORDER_TABLES)
    for name in ("hold_risk", "late_shipment"):
        one = catalog.RECIPES[name]
        rows = [
            one.compute(one.past(h), take(h["orders"], np.flatnonzero(h["orders"]["number"] == order)))
            for h in (narrow, whole)
        ]
        for column in range(len(one.features)):
            np.testing.assert_allclose(
                rows[0][0, column], rows[1][0, column], equal_nan=True, err_msg=one.features[column]
            )


def test_own_orders_are_read_as_columns(database: str) -> None:
    whole = past.own()
    orders = whole["orders"]
    assert len(orders["number"]) > 100
    assert np.isfinite(orders["value"]).all()
    row = np.flatnonzero(orders["number"] == "SO-40443")[0]
    assert orders["held"][row] == 1.0
    assert orders["value"][row] == pytest.approx(16731, abs=1)
    assert whole.digest == past.own().digest
    assert json.dumps({name: len(t["at"]) for name, t in whole.tables.items()})


def test_why_goods_come_back_is_said_by_the_model_in_use(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "folder", lambda: tmp_path)
    words = "The valves arrived crushed, the carton was torn."
    assert returning.reason_of(words) is None
    one = catalog.train("return_reason", simulated.simulate(5, simulated.Size(orders=500)))
    path = store.keep(one.text)
    with db.transaction(db.AGENT) as session:
        figures = {"gate": one.figures["gate"]}
        version = casework.record_model(session, Trained(one.name, one.sha256, "simulated", "d", "c", figures, None))
    with db.transaction(db.API) as session:
        measured(session, version, gain_low=0.5, score=0.99)
        assert models.adopt_first(session, TODAY) == ["return_reason"]
    assert returning.reason_of(words) == ("damaged", version)
    assert returning.reason_of("hello") is None
    path.write_text("{}")
    returning._reasons.cache_clear()
    assert returning.reason_of(words) is None


def test_an_order_without_prices_and_odd_values_are_asked_once(scorer: Scorer, api: Session) -> None:
    """What cannot be scored is not asked again each second, and one order's oddity silences no other."""
    with db.transaction(db.API) as session:
        lines = [NewLine(sku="VAL-1166", quantity=Decimal(1), unit_price=Decimal(0))]
        command = PlaceOrder(customer="C1006", number="SC-9", customer_po="SC-9", warehouse="W01", lines=lines)
        execute(session, command, key="SC-9", actor="test", now=clock.now(session))
    place("SC-10")
    scorer.next_shelves = float("inf")
    seal()
    assert scorer.step() > 0
    assert {"held", "price_anomaly"} <= set(said(api, "SC-9"))
    assert {"held", "price_anomaly"} <= set(said(api, "SC-10"))
    with db.reading(db.API) as session:
        for version in queries.versions(session):
            if version.name in scoring.OF_ORDERS and version.name != "late_shipment":
                assert learning.unasked_orders(session, version.id, TODAY, dated=False) == []
    assert scorer.step() == 0


def test_what_failed_to_be_written_is_asked_again(
    scorer: Scorer, api: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    place("SC-11")
    scorer.next_shelves = float("inf")
    seal()
    with monkeypatch.context() as broken:
        broken.setattr(casework, "record_predictions", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            scorer.step()
    assert said(api, "SC-11") == {}
    assert scorer.step() > 0
    assert "held" in said(api, "SC-11")


def test_a_model_of_other_features_stops_no_other(scorer: Scorer, api: Session, made: list[catalog.Trained]) -> None:
    old = json.loads(made[0].text)
    old["heads"]["held"]["features"][0] = "renamed"
    text = json.dumps(old)
    path = store.keep(text)
    with db.transaction(db.AGENT) as session:
        version = casework.record_model(session, Trained("hold_risk", path.stem, "own", "d", "c", {}, None))
    with db.transaction(db.API) as session:
        session.add(
            ModelUse(
                name="hold_risk", use="champion", version=version, since=TODAY, said_by="test", reason="an upgrade"
            )
        )
    place("SC-12")
    seal()
    scorer.next_shelves = float("inf")
    scorer.step()
    found = said(api, "SC-12")
    assert "price_anomaly" in found
    assert "held" not in found


def test_the_same_order_under_another_account_is_found_by_what_it_holds(scorer: Scorer, api: Session) -> None:
    goods = {"VAL-1166": 17, "VAL-3904": 9, "VAL-7152": 23, "VAL-7461": 4}
    for customer, number in (("C1006", "SC-20"), ("C1031", "SC-21")):
        with db.transaction(db.API) as session:
            lines = [NewLine(sku=sku, quantity=Decimal(n)) for sku, n in goods.items()]
            command = PlaceOrder(customer=customer, number=number, customer_po=None, warehouse="W01", lines=lines)
            execute(session, command, key=number, actor="test", now=clock.now(session))
        seal()
        scorer.next_shelves = float("inf")
        scorer.step()
    assert said(api, "SC-20")["duplicate_order"].prediction.value < 0.5
    twice = said(api, "SC-21")["duplicate_order"].prediction
    assert twice.value > 0.5
    assert twice.reasons[0]["text"] == "like SC-20 of C1006"
    with db.reading(db.AGENT) as session:
        vector = duplicates.vector({sku: float(n) for sku, n in goods.items()})
        near = learning.alike(session, "C1031", clock.now(session), list(goods), vector, within=duplicates.NEAR)
        own = learning.alike(session, "C1006", clock.now(session), list(goods), vector, within=duplicates.NEAR)
    assert (near, own) == (["SC-20"], ["SC-21"])


def test_twins_that_are_scored_together_find_each_other(scorer: Scorer, api: Session) -> None:
    for customer, number in (("C1006", "SC-30"), ("C1031", "SC-31")):
        with db.transaction(db.API) as session:
            lines = [
                NewLine(sku=sku, quantity=Decimal(n)) for sku, n in (("VAL-1166", 13), ("ELC-4712", 7), ("VAL-7152", 3))
            ]
            command = PlaceOrder(customer=customer, number=number, customer_po=None, warehouse="W01", lines=lines)
            execute(session, command, key=number, actor="test", now=clock.now(session))
    seal()
    scorer.next_shelves = float("inf")
    scorer.step()
    assert said(api, "SC-31")["duplicate_order"].prediction.reasons[0]["text"] == "like SC-30 of C1006"
