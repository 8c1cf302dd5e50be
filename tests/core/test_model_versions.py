"""A version comes into use by two people's hands and through its gate; the agent can record, and no more; a score moves nothing by itself."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from api.risk import likely_cause
from erp_core import casework, db
from erp_core.actions import desk as decisions
from erp_core.actions import execute, models, requests, watching
from erp_core.actions.context import Context
from erp_core.actions.desk import Said
from erp_core.casework import Trained
from erp_core.commands import (
    COMMAND,
    CloseCase,
    KeepSample,
    NominateModel,
    OpenCase,
    PromoteModel,
    RecordPrompt,
    ReportModel,
    ReviewSample,
    RollBackModel,
)
from erp_core.db import Session
from erp_core.errors import NotAuthorised, RuleViolation
from erp_core.queries import desk, policies, sales, supply, traffic
from erp_core.queries import models as queries
from erp_core.tables.desk import Case, JournalEntry
from erp_core.tables.models import FeedbackSample, ModelUse, Prediction
from erp_core.values import MODELS, Priority, Queue, Verdict
from tests.conftest import TODAY
from tests.core.test_decisions import AVA, file, free_order, to_one

JON, CARA, IDA, KAY = (f"{n}@northfieldsupply.example" for n in ("jon.bell", "cara.lim", "ida.marsh", "kay.dunn"))
GOOD: dict[str, Any] = {"examples": 5000, "gain_low": 0.08, "calibration_error": 0.01, "score": 0.8, "too_good": []}


def adopted(name: str = "hold_risk") -> int:
    """A first version, measured by the evaluation and adopted by the clock."""
    version = trained(name, source="simulated")
    with db.transaction(db.API) as session:
        measured(session, version)
        models.adopt_first(session, TODAY)
    return version


def trained(name: str = "hold_risk", *, source: str = "own", trainer: str | None = JON, **gate: Any) -> int:
    """A version as the agent records it."""
    made = Trained(name, uuid.uuid4().hex * 2, source, "data", "code", {"gate": {**GOOD, **gate}}, trainer)
    with db.transaction(db.AGENT) as session:
        return casework.record_model(session, made)


def act(session: Session, command: Any, who: str, now: Any = TODAY) -> Any:
    with session.begin_nested():
        return requests.act(session, command, key=f"t:{uuid.uuid4()}", actor=who, now=now)


def measured(session: Session, version: int, **figures: Any) -> None:
    champion = queries.in_use(session, queries.numbered(session, version).name, TODAY)
    command = ReportModel(version=version, against=champion.id if champion else None, figures={**GOOD, **figures})
    execute(session, command, key=f"t:{uuid.uuid4()}", actor="evaluation", now=TODAY)


def promoted(session: Session) -> int:
    """A champion, by the book."""
    version = trained()
    act(session, NominateModel(version=version, reason="trained on our own past"), JON)
    measured(session, version)
    act(session, PromoteModel(version=version, reason="beats the rule"), IDA)
    return version


def test_two_people_and_a_passed_gate_bring_a_version_into_use(api: Session) -> None:
    version = promoted(api)
    found = queries.in_use(api, "hold_risk", TODAY)
    assert found is not None
    assert found.id == version
    assert queries.in_use(api, "hold_risk", TODAY, "shadow") is None
    tags = api.scalars(
        select(JournalEntry.tag).where(JournalEntry.subject == f"model:{version}").order_by(JournalEntry.id)
    ).all()
    assert tags == [
        "model:version:trained",
        "model:version:nominated",
        "model:version:measured",
        "model:version:promoted",
    ]


@pytest.mark.parametrize("who", [JON, CARA])
def test_who_trains_or_nominates_has_no_authority_to_promote(api: Session, who: str) -> None:
    version = trained()
    act(api, NominateModel(version=version, reason="better"), JON)
    measured(api, version)
    with pytest.raises(NotAuthorised):
        act(api, PromoteModel(version=version, reason="mine"), who)


def test_who_trained_it_does_not_promote_it_with_the_right_role_either(api: Session) -> None:
    version = trained(trainer=IDA)
    act(api, NominateModel(version=version, reason="better"), JON)
    measured(api, version)
    with pytest.raises(RuleViolation, match="trained or nominated"):
        act(api, PromoteModel(version=version, reason="mine"), IDA)
    act(api, PromoteModel(version=version, reason="looked at it"), KAY)


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ({"loss": 0.05}, "worse than"),
        ({"loss": None}, "worse than"),
        ({"gain_low": -0.1}, "rule of thumb"),
        ({"calibration_error": 0.3}, "off by"),
        ({"too_good": [["paid_at", 0.99]]}, "written afterwards"),
        ({"examples": 3}, "examples"),
    ],
)
def test_a_worse_candidate_is_refused_by_the_gate(api: Session, figures: dict[str, Any], words: str) -> None:
    champion = promoted(api)
    version = trained()
    act(api, NominateModel(version=version, reason="new"), JON)
    measured(api, version, **{"loss": -0.01, **figures})
    with pytest.raises(RuleViolation, match=words):
        act(api, PromoteModel(version=version, reason="new is always better"), IDA)
    found = queries.in_use(api, "hold_risk", TODAY)
    assert found is not None
    assert found.id == champion


def test_nothing_is_promoted_unmeasured_or_on_an_old_report(api: Session) -> None:
    version = trained()
    act(api, NominateModel(version=version, reason="new"), JON)
    with pytest.raises(RuleViolation, match="countersign eval version"):
        act(api, PromoteModel(version=version, reason="trust me"), IDA)
    measured(api, version)
    with pytest.raises(RuleViolation, match="countersign eval version"):
        act(api, PromoteModel(version=version, reason="late"), IDA, TODAY + timedelta(days=40))


def test_nothing_is_promoted_that_nobody_nominated(api: Session) -> None:
    version = trained()
    measured(api, version)
    with pytest.raises(RuleViolation, match="put version"):
        act(api, PromoteModel(version=version, reason="on my own"), IDA)


def test_one_step_returns_to_the_version_before(api: Session) -> None:
    first = promoted(api)
    second = trained()
    act(api, NominateModel(version=second, reason="newer"), JON)
    measured(api, second, loss=-0.02)
    later = TODAY + timedelta(minutes=1)
    act(api, PromoteModel(version=second, reason="better"), IDA, later)
    act(api, RollBackModel(name="hold_risk", reason="it does harm"), KAY, later + timedelta(minutes=1))
    found = queries.in_use(api, "hold_risk", later + timedelta(minutes=2))
    assert found is not None
    assert found.id == first
    # which version spoke on that day stays known
    then = queries.in_use(api, "hold_risk", later)
    assert then is not None
    assert then.id == second
    assert [u.version for u in queries.uses(api, "hold_risk") if u.use == "champion"] == [first, second, first]


def test_a_first_version_from_a_simulated_past_is_adopted_when_the_evaluation_lets_it_pass(api: Session) -> None:
    good, bad, unmeasured = (
        trained(source="simulated"),
        trained("stockout", source="simulated"),
        trained("demand", source="simulated"),
    )
    own = trained("late_shipment", source="own")
    assert models.adopt_first(api, TODAY) == []  # what training says of itself does not count
    assert queries.unmeasured_first(api) == [good, bad, unmeasured]
    for version, gain in ((good, 0.1), (bad, -1.0), (own, 0.1)):
        measured(api, version, gain_low=gain)
    assert models.adopt_first(api, TODAY) == ["hold_risk"]
    assert queries.unmeasured_first(api) == [unmeasured]
    assert {n for n, _ in queries.all_in_use(api, TODAY)} == {"hold_risk"}
    after = trained(source="simulated")
    measured(api, after)
    assert models.adopt_first(api, TODAY) == []
    assert queries.in_use(api, "hold_risk", TODAY).id == good  # type: ignore[union-attr]


def test_back_goes_further_back_and_never_to_what_was_left(api: Session) -> None:
    first = promoted(api)
    second = trained()
    act(api, NominateModel(version=second, reason="newer"), JON)
    measured(api, second, loss=-0.02)
    act(api, PromoteModel(version=second, reason="better"), IDA, TODAY + timedelta(minutes=1))
    act(api, RollBackModel(name="hold_risk", reason="harm"), KAY, TODAY + timedelta(minutes=2))
    with pytest.raises(RuleViolation, match="No other version"):
        act(api, RollBackModel(name="hold_risk", reason="again"), KAY, TODAY + timedelta(minutes=3))
    assert queries.in_use(api, "hold_risk", TODAY + timedelta(minutes=4)).id == first  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "figures", "trainer"),
    [("replies", {"gate": GOOD}, None), ("whatever", {"gate": GOOD}, None), ("hold_risk", {"gate": []}, None), ("hold_risk", {"gate": GOOD}, "nobody@nowhere"),
     ("hold_risk", {"gate": GOOD}, IDA.upper())],
)  # fmt: skip
def test_what_is_no_model_of_the_house_or_nobodys_is_not_recorded(
    database: str, name: str, figures: Any, trainer: str | None
) -> None:
    with pytest.raises(db.Refused), db.transaction(db.AGENT) as session:
        casework.record_model(session, Trained(name, "a" * 64, "simulated", "d", "c", figures, trainer))


def test_every_model_of_the_house_can_be_recorded(api: Session) -> None:
    """The database has its own list of names, and it is the same."""
    made = {name: trained(name, source="shipped" if name == "mail_reader" else "own") for name in MODELS}
    assert {name: queries.numbered(api, number).name for name, number in made.items()} == {n: n for n in MODELS}


@pytest.mark.parametrize(
    "row",
    [
        {"value": -1}, {"value": 1.5}, {"value": "NaN"}, {"value": "Infinity"}, {"value": None}, {"reasons": [1]}, {"reasons": [{"a": 1}]}, {"reasons": "x"},
        {"reasons": [{"text": "x" * 400}]}, {"features": ["x"]}, {"features": {"a": 1}}, {"subject": None}, {"subject": "case:abc"}, {"subject": "case:99999999999"},
    ],
)  # fmt: skip
def test_what_is_no_prediction_is_not_recorded(database: str, row: dict[str, Any]) -> None:
    version = adopted()
    good = {"subject": "sales_order:SO-40395", "question": "held", "value": 0.9, "reasons": [{"text": "x", "share": 1}]}
    with pytest.raises(db.Refused), db.transaction(db.AGENT) as session:
        casework.record_predictions(session, version, "champion", [good, {**good, **row}])


def test_the_agent_proposes_nothing_of_models(database: str) -> None:
    with db.transaction(db.AGENT) as session:
        told = {
            "source": None,
            "sender": None,
            "sender_name": None,
            "subject": None,
            "sent_at": None,
            "raw": b"x",
            "parsed": {},
        }
        case = casework.record_message(session, message_id="<m@x>", **told).case  # type: ignore[arg-type]
        casework.claim_case(session, "w", 60, case)
    for kind in (
        "promote_model",
        "roll_back_model",
        "report_model",
        "nominate_model",
        "record_prompt",
        "keep_sample",
        "review_sample",
    ):
        filing = casework.Filing("x", [{"type": kind}], "r", [], {}, {}, "strong")
        with pytest.raises(db.Refused, match="models"), db.transaction(db.AGENT) as session:
            casework.file_proposal(session, case, "w", "r", filing)


def test_the_agents_role_records_and_no_more(database: str) -> None:
    trained()
    for statement in (
        "INSERT INTO model_use (name, use, version, since, said_by, reason) VALUES ('hold_risk', 'champion', 1, now(), 'agent', 'x')",
        "UPDATE model_version SET sha256 = 'x'",
        "INSERT INTO model_report (version, figures, gate, problems, run_by, run_at) VALUES (1, '{}', '{}', '[]', 'agent', now())",
        "INSERT INTO prediction (version, use, subject, question, value, reasons, asked_at) VALUES (1, 'champion', 'x', 'y', 1, '[]', now())",
        "UPDATE prediction SET value = 0",
        "INSERT INTO feedback_sample (case_id, content, why, status, kept_by, kept_at) VALUES (1, '{}', 'x', 'accepted', 'agent', now())",
    ):
        with pytest.raises(db.Refused), db.transaction(db.AGENT) as session:
            session.execute(text(statement))


def test_predictions_are_taken_of_versions_in_use_alone(database: str) -> None:
    version = trained(source="simulated")
    row = {"subject": "sales_order:SO-40395", "question": "held", "value": 0.9, "reasons": [{"text": "x", "share": 1}]}
    with pytest.raises(db.Refused, match="not in use"), db.transaction(db.AGENT) as session:
        casework.record_predictions(session, version, "champion", [row])
    with db.transaction(db.API) as session:
        measured(session, version)
        models.adopt_first(session, TODAY)
    with db.transaction(db.AGENT) as session:
        assert casework.record_predictions(session, version, "champion", [row]) == 1
    with pytest.raises(db.Refused), db.transaction(db.AGENT) as session:
        casework.record_predictions(session, version, "shadow", [row])


def said(question: str, value: float, order: str, version: int) -> None:
    row = {
        "subject": f"sales_order:{order}",
        "question": question,
        "value": value,
        "reasons": [{"text": "late payer", "share": 2.0}],
    }
    with db.transaction(db.AGENT) as session:
        casework.record_predictions(session, version, "champion", [row])


def snapshot(session: Session, order: str) -> Any:
    session.expire_all()
    return sales.snapshot_of(session, sales.order(session, order))


def test_a_score_opens_a_case_and_holds_or_releases_nothing(api: Session, database: str) -> None:
    version = adopted()
    free, held = "SO-40285", "SO-40395"
    before = snapshot(api, free), snapshot(api, held)
    api.rollback()
    for order in (free, held):
        said("held", 0.99, order, version)
    said("unpaid", 0.95, "SO-40409", version)  # worth less than anybody looks at
    with db.transaction(db.API) as session:
        assert watching.reviews(session, TODAY) == 1
        assert watching.reviews(session, TODAY) == 0
    found = api.scalars(select(Case).where(Case.kind == "risk_review")).one()
    assert (found.order_number, found.queue, found.details["problems"]) == (free, "credit", ["late payer"])
    assert (snapshot(api, free), snapshot(api, held)) == before


def test_what_came_of_a_prediction_is_written_beside_it(api: Session, database: str) -> None:
    version = adopted()
    for order in ("SO-40412", "SO-40285"):  # one has left, one has not
        said("held", 0.3, order, version)
    with db.transaction(db.API) as session:
        watching.outcomes(session, TODAY)
    rows = {p.subject: p.outcome for p in api.scalars(select(Prediction))}
    assert rows == {"sales_order:SO-40412": 0.0, "sales_order:SO-40285": None}


def test_a_model_whose_word_no_longer_holds_gets_a_case(api: Session) -> None:
    version = promoted(api)
    for number in range(150):
        api.add(
            Prediction(
                version=version, use="champion", subject=f"sales_order:X{number}", question="held", value=0.9, reasons=[], features=None,
                asked_at=TODAY, outcome=0.0, outcome_at=TODAY,
            )
        )  # fmt: skip
    api.flush()
    assert watching.watch(api, TODAY) == ["hold_risk"]
    case = api.scalars(select(Case).where(Case.kind == "model_alarm")).one()
    assert "said 90%, came 0% of 150" in case.details["problems"][0]
    watching.watch(api, TODAY)
    assert len(api.scalars(select(Case).where(Case.kind == "model_alarm")).all()) == 1


def test_inputs_that_drift_are_noticed(api: Session) -> None:
    kept = {"features": ["size"], "spread": {"size": ([10.0, 20.0], [0.3, 0.4, 0.3, 0.0])}}
    steady = traffic.drift(kept, [[5.0]] * 60 + [[15.0]] * 80 + [[25.0]] * 60)
    moved = traffic.drift(kept, [[25.0]] * 150 + [[None]] * 50)
    assert steady["size"] < 0.01
    assert moved["size"] > 0.25
    assert traffic.drift(kept, [[5.0]] * 10) == {}


def test_a_prompt_goes_the_same_way(api: Session) -> None:
    done = act(api, RecordPrompt(name="replies", text="[greeting]\nen = 'Hi'"), JON)
    version = int(done.change.subject.split(":")[1])
    with pytest.raises(RuleViolation, match="already"):
        act(api, RecordPrompt(name="replies", text="[greeting]\nen = 'Hi'"), JON)
    act(api, NominateModel(version=version, reason="shorter"), JON)
    figures = {"examples": 60, "score": 0.99, "unsafe": 2, "loss": 0.0}
    execute(api, ReportModel(version=version, figures=figures), key="t:prompt", actor="evaluation", now=TODAY)
    with pytest.raises(RuleViolation, match="unsafe"):
        act(api, PromoteModel(version=version, reason="shorter"), IDA)


def test_feedback_is_masked_and_reviewed_by_another(api: Session) -> None:
    with db.transaction(db.AGENT) as session:
        body = "Hi, call me at +1 (555) 010-2299 or mail bob.smith@gmail.example. IBAN DE89 3704 0044 0532 0130 00.\n\nBest regards,\nBob Smith"
        recorded = casework.record_message(
            session, message_id="<f@x>", source=None, sender="bob.smith@gmail.example", sender_name="Bob", subject="Order of bob.smith@gmail.example",
            sent_at=None, raw=body.encode(), parsed={"newest": body},
        )  # fmt: skip
    act(api, KeepSample(case=recorded.case, why="this was a complaint", intent="complaint"), JON)
    kept = api.scalars(select(FeedbackSample)).one()
    text_ = json.dumps(kept.content)
    for private in ("bob.smith", "010-2299", "DE89", "Bob Smith"):
        assert private not in text_
    with pytest.raises(RuleViolation, match="somebody else"):
        act(api, ReviewSample(sample=kept.id, accept=True), JON)
    act(api, ReviewSample(sample=kept.id, accept=True), CARA)
    assert (kept.status, kept.reviewed_by) == ("accepted", CARA)
    with pytest.raises(RuleViolation, match="already"):
        act(api, ReviewSample(sample=kept.id, accept=False), IDA)


def test_uses_are_never_changed(database: str) -> None:
    with pytest.raises(db.Refused), db.transaction(db.API) as session:
        session.execute(text("UPDATE model_use SET version = 1"))
    with pytest.raises(db.Refused), db.transaction(db.API) as session:
        session.execute(text("UPDATE model_version SET figures = '{}'"))
    assert ModelUse.__tablename__ == "model_use"


@pytest.mark.parametrize(("source", "counts"), [("own", True), ("simulated", False)])
def test_expected_demand_is_bought_for_when_it_was_learned_from_our_own_past(
    api: Session, source: str, counts: bool
) -> None:
    policy, today = policies.active(api, TODAY), TODAY.date()
    before = supply.needs(api, policy, today)[0]
    version = trained("demand", source=source)
    api.add(
        Prediction(
            version=version, use="champion", subject=f"stock:{before.warehouse}:{before.sku}", question="demand_28", value=28_000.0, low=20_000.0,
            high=36_000.0, reasons=[], features=None, asked_at=TODAY,
        )
    )  # fmt: skip
    api.flush()
    after = next(n for n in supply.needs(api, policy, today) if (n.sku, n.warehouse) == (before.sku, before.warehouse))
    assert after.foreseen is counts
    assert (after.demand.daily == 1000) is counts
    assert (after.quantity > before.quantity) is counts


def test_how_people_decide_is_counted(api: Session) -> None:
    assert queries.reviewers(api, TODAY - timedelta(days=30)) == []
    order = free_order(api)
    number = file(order, [to_one(order)])
    shown = decisions.preview(api, desk.proposal(api, number), TODAY).digest
    decisions.decide(api, number, Said(Verdict.APPROVE, "fine", shown), actor=AVA, now=TODAY)
    (row,) = queries.reviewers(api, TODAY - timedelta(days=30))
    assert (row.actor, row.decided, row.approved, row.otherwise, row.unopened) == (AVA, 1, 1, 0, 1)


def test_what_people_decided_goes_with_a_sample(api: Session, database: str) -> None:
    number = file(free_order(api), [to_one(free_order(api))])
    api.rollback()
    with db.transaction(db.API) as session:
        case = desk.proposal(session, number).case_id
        decisions.decide(session, number, Said(Verdict.REJECT, reason="not asked for"), actor=AVA, now=TODAY)
    act(api, KeepSample(case=case, why="not asked for"), AVA)
    assert api.scalars(select(FeedbackSample)).one().content["wanted"] == {"never": ["amend_order"]}


def test_a_shadow_that_errs_less_on_our_own_questions_gets_a_case(api: Session, database: str) -> None:
    """Two hundred questions that both were asked, with what came: clearly better is told once, as good is not."""
    champion, shadow = adopted(), trained()
    act(api, NominateModel(version=shadow, reason="trained on our own past"), JON)
    api.commit()
    for version, use, near in ((champion, "champion", 0.6), (shadow, "shadow", 0.8)):
        rows = [
            {"subject": f"sales_order:R-{n}", "question": "held", "value": near if n % 2 else 1 - near}
            for n in range(200)
        ]
        with db.transaction(db.AGENT) as session:
            casework.record_predictions(session, version, use, rows)
    assert watching.rivalry(api, TODAY) == []  # nothing came yet
    api.execute(text("UPDATE prediction SET outcome = (split_part(subject, '-', 2)::int % 2)"))
    assert watching.rivalry(api, TODAY) == ["hold_risk"]
    case = api.scalars(select(Case).where(Case.kind == "model_alarm")).one()
    assert f"errs less than version {champion}" in case.details["problems"][0]
    api.execute(text("UPDATE prediction SET value = 0.8 WHERE use = 'champion' AND outcome = 1"))
    api.execute(text("UPDATE prediction SET value = 0.2 WHERE use = 'champion' AND outcome = 0"))
    assert watching.rivalry(api, TODAY) == []


def test_scores_that_are_spread_otherwise_than_when_they_were_measured_are_seen() -> None:
    table = [{"said": said, "came": said, "number": 50} for said in (0.1, 0.3, 0.5, 0.7)]
    steady = [0.1] * 50 + [0.3] * 50 + [0.5] * 50 + [0.7] * 50
    assert traffic.score_drift(table, steady)["the score"] < 0.01
    assert traffic.score_drift(table, [0.9] * 200)["the score"] > 0.25
    assert traffic.score_drift(table, [0.9] * 20) == {}


def test_what_does_not_come_true_of_one_tier_is_told_though_the_whole_is_right(api: Session, database: str) -> None:
    """Half of the customers are said too little of, half too much: on average all is well."""
    version = adopted()
    orders = api.execute(
        text("SELECT o.number, c.tier FROM sales_order o JOIN customer c ON c.code = o.customer ORDER BY o.number")
    ).all()
    tiers = {tier: [o for o, t in orders if t == tier][:30] for tier in ("A", "B")}
    assert all(len(found) >= 30 for found in tiers.values())
    rows = [
        {"subject": f"sales_order:{o}", "question": "held", "value": 0.5} for found in tiers.values() for o in found
    ] * 4
    with db.transaction(db.AGENT) as session:
        casework.record_predictions(session, version, "champion", rows)
    wrong = "UPDATE prediction p SET outcome = (c.tier = 'A')::int FROM sales_order o, customer c WHERE p.subject = 'sales_order:' || o.number AND c.code = o.customer"
    api.execute(text(wrong))
    state = traffic.state_of(api, queries.numbered(api, version), TODAY)
    assert {s["slice"]: s["came"] for s in state["slices"] if s["slice"].startswith("tier")} == {
        "tier A": 1.0,
        "tier B": 0.0,
    }
    assert state["came"]["held"]["said"] == state["came"]["held"]["came"] == 0.5
    assert "held, tier A: said 50%, came 100% of 120" in state["problems"]


def opened(session: Session, subject: str, priority: str = "normal", now: Any = TODAY) -> int:
    command = OpenCase(kind="request", subject=subject, title=subject, queue=Queue.CREDIT, priority=Priority(priority))
    execute(session, command, key=f"t:{subject}", actor="test", now=now)
    return session.scalars(select(Case.id).where(Case.subject == subject)).one()


def of_case(question: str, value: float, case: int, version: int) -> None:
    row = {"subject": f"case:{case}", "question": question, "value": value, "reasons": [{"text": "a slow queue"}]}
    with db.transaction(db.AGENT) as session:
        casework.record_predictions(session, version, "champion", [row])


def in_order(session: Session, wanted: set[int]) -> list[int]:
    session.expire_all()
    rows = desk.case_rows(session, desk.Filter(queue="credit"), TODAY, limit=1000)
    return [row.case.id for row in rows if row.case.id in wanted]


def test_what_will_be_late_comes_forward_in_its_band_and_no_further(api: Session, database: str) -> None:
    version = adopted("case_late")
    with db.transaction(db.API) as session:
        first, second = opened(session, "first"), opened(session, "second", now=TODAY + timedelta(hours=3))
        low = opened(session, "low", "low")
    everything = {first, second, low}
    assert in_order(api, everything) == [first, second, low]
    api.rollback()
    of_case("case_late", 0.95, second, version)
    of_case("case_late", 1.0, low, version)
    due = api.scalars(select(Case.due_at).order_by(Case.id)).all()
    api.rollback()
    with db.transaction(db.API) as session:
        assert watching.forward(session, TODAY) == 2
        assert watching.forward(session, TODAY) == 0
    assert in_order(api, everything) == [second, first, low]
    assert api.scalars(select(Case.due_at).order_by(Case.id)).all() == due
    told = api.scalars(
        select(JournalEntry).where(JournalEntry.tag == "case:place:moved", JournalEntry.case_id == second)
    ).one()
    assert told.after == {"late_chance": 0.95, "version": version}


def test_another_word_on_a_case_moves_it_again(api: Session, database: str) -> None:
    version = adopted("case_late")
    with db.transaction(db.API) as session:
        number = opened(session, "moved twice")
    for chance in (0.9, 0.2):
        of_case("case_late", chance, number, version)
        with db.transaction(db.API) as session:
            assert watching.forward(session, TODAY) == 1
    assert api.get_one(Case, number).late_chance == 0.2


def test_an_alarm_that_was_closed_is_quiet_for_a_week_unless_there_is_more(api: Session) -> None:
    def alarm(problems: list[str], days: int) -> int | None:
        now = TODAY + timedelta(days=days)
        return models.alarm(
            "hold_risk:1",
            "Look at it",
            problems,
            Context(api, f"t:{days}:{len(problems)}", "core", now, policies.active(api, now)),
        )

    number = alarm(["drift"], 0)
    assert number is not None
    assert alarm(["drift, more"], 0) is None
    assert api.get_one(Case, number).details["problems"] == ["drift, more"]
    execute(api, CloseCase(case=number, resolution="seen", root_cause="none"), key="t:seen", actor="test", now=TODAY)
    assert alarm(["drift"], 1) is None
    assert alarm(["drift", "and calibration"], 2) not in (None, number)


def test_a_paused_case_is_not_late_yet(api: Session, database: str) -> None:
    version = adopted("case_late")
    with db.transaction(db.API) as session:
        number = opened(session, "waits")
        session.get_one(Case, number).paused_at = TODAY
    of_case("case_late", 0.2, number, version)
    with db.transaction(db.API) as session:
        watching.outcomes(session, TODAY + timedelta(days=60))
        assert session.scalars(select(Prediction.outcome)).all() == [None]
        session.get_one(Case, number).paused_at = None
        watching.outcomes(session, TODAY + timedelta(days=60))
        assert session.scalars(select(Prediction.outcome)).all() == [1.0]


def test_only_the_model_of_root_causes_suggests_one(api: Session, database: str) -> None:
    version, other = adopted("root_cause"), adopted("hold_risk")
    with db.transaction(db.API) as session:
        number = opened(session, "why")
    known = policies.active(api).root_causes
    of_case("cause_supplier", 1.0, number, other)
    assert likely_cause(queries.said_of(api, f"case:{number}"), known) is None
    of_case("cause_carrier", 0.7, number, version)
    found = likely_cause(queries.said_of(api, f"case:{number}"), known)
    assert found is not None
    assert (found.code, found.why) == ("carrier", "a slow queue")
    of_case("cause_no_such_cause", 0.9, number, version)
    assert likely_cause(queries.said_of(api, f"case:{number}"), known).code == "carrier"  # type: ignore[union-attr]


def test_what_was_known_of_a_case_when_it_came_is_kept(api: Session) -> None:
    number = opened(api, "a matter")
    case = api.get_one(Case, number, populate_existing=True)
    came = dict(case.came_as or {})
    assert (came["queue"], came["priority"], case.came_at) == ("credit", "normal", TODAY)
    case.late_chance = 0.9
    route = {
        "type": "route_case",
        "case": number,
        "queue": "pricing",
        "priority": "high",
        "matter": {"kind": "complaint"},
    }
    execute(api, COMMAND.validate_python(route), key="t:route", actor="test", now=TODAY + timedelta(hours=1))
    api.refresh(case)
    assert (case.came_as or {})["queue"] == "pricing"
    assert (case.came_at, case.late_chance) == (TODAY + timedelta(hours=1), None)


def test_what_came_of_a_cases_predictions_is_its_closing(api: Session, database: str) -> None:
    late, cause = adopted("case_late"), adopted("root_cause")
    with db.transaction(db.API) as session:
        numbers = [opened(session, name) for name in ("in time", "still open")]
    for number in numbers:
        of_case("case_late", 0.2, number, late)
        of_case("cause_our_entry", 0.7, number, cause)
    with db.transaction(db.API) as session:
        command = CloseCase(case=numbers[0], resolution="done", root_cause="our_entry")
        execute(session, command, key="t:close", actor="test", now=TODAY + timedelta(hours=1))
        watching.outcomes(session, TODAY + timedelta(hours=1))
    rows = {(p.subject, p.question): p.outcome for p in api.scalars(select(Prediction))}
    done, waits = (f"case:{n}" for n in numbers)
    assert rows == {
        (done, "case_late"): 0.0, (done, "cause_our_entry"): 1.0, (waits, "case_late"): None, (waits, "cause_our_entry"): None,
    }  # fmt: skip
