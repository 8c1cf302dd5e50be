"""The reader of mails is a version like any other: measured, adopted, replaced by two people's hands, and not read from a folder that was changed."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.mail.fetch import Raw
from agent.worker import worker as working
from erp_core import casework, db
from erp_core.actions import models
from erp_core.casework import Trained
from erp_core.queries import desk
from erp_core.queries import models as queries
from erp_core.tables.models import ModelUse
from evals import versions
from ml import pipeline, reader, store
from tests.conftest import MODELS, TODAY

MAIL = Raw(
    "1.eml", b"From: x@y.example\r\nSubject: order\r\nMessage-ID: <1@y>\r\n\r\nWhere is my order? Any tracking yet?\r\n"
)


def recorded(sha256: str) -> int:
    with db.transaction(db.AGENT) as session:
        return casework.record_model(
            session, Trained(reader.NAME, sha256, "shipped", "text", "code", {"gate": {}}, None)
        )


@pytest.fixture
def adopted(database: str, nlp: Any) -> int:
    """The shipped reader, measured and adopted as on the first day."""
    number = recorded(pipeline.shipped(MODELS))
    assert versions.measure_first()[number]["problems"] == []
    with db.transaction(db.API) as session:
        assert models.adopt_first(session, TODAY) == [reader.NAME]
    return number


@pytest.fixture
def worse() -> str:
    """A reader that takes each intent for another one."""
    nlp = pipeline.spacy.load(store.folder_of(pipeline.folder(MODELS), pipeline.shipped(MODELS)))
    intents = nlp.get_pipe("countersign_mail_reader").models["intents"]
    intents.classes = [*intents.classes[1:], intents.classes[0]]
    return pipeline.keep(MODELS, nlp)


def passing(names: Sequence[str], text: str | None, own: Any) -> dict[str, Any]:
    return {"id": uuid.uuid4().hex, "unsafe": 0, "must_failed": []}


def test_findings_name_the_version_that_read(adopted: int, nlp: Any) -> None:
    with working() as own:
        recorded_, _ = own.take_and_work(MAIL)
    with db.reading(db.API) as session:
        finding = desk.case_file(session, recorded_.case).finding
    assert finding is not None
    assert finding.content["read"]["model"] == f"mail_reader {adopted}"


def test_a_worse_reader_is_refused_by_the_gate(adopted: int, worse: str) -> None:
    said = versions.measure(recorded(worse), passing)
    assert not said["passed"]
    assert said["loss"] > 0.5
    assert any("worse than version" in text for text in said["problems"])
    with db.reading(db.API) as session:
        assert queries.in_use(session, reader.NAME, TODAY).id == adopted  # type: ignore[union-attr]


def test_a_reader_that_breaks_what_must_pass_is_refused_however_well_it_reads(adopted: int) -> None:
    nlp = pipeline.spacy.load(store.folder_of(pipeline.folder(MODELS), pipeline.shipped(MODELS)))
    nlp.meta["note"] = "the same, under another digest"
    number = recorded(pipeline.keep(MODELS, nlp))
    assert versions.measure(number, passing)["passed"]
    said = versions.measure(number, lambda *asked: {**passing(*asked), "must_failed": ["inbox/status"]})
    assert not said["passed"]


def test_a_folder_that_was_changed_is_not_read_and_the_case_goes_to_people(
    database: str, nlp: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spoilt = tmp_path / "store" / ("a" * 64)
    spoilt.mkdir(parents=True)
    (spoilt / "config.cfg").write_text("[nlp]\n")
    number = recorded("a" * 64)
    with db.transaction(db.API) as session:
        session.add(ModelUse(name=reader.NAME, use="champion", version=number, since=TODAY, said_by="test", reason="x"))
    monkeypatch.setattr(pipeline, "folder", lambda _: tmp_path / "store")
    monkeypatch.setattr(pipeline, "shipped", lambda *_: "b" * 64)
    with working() as own:  # it starts all the same: there is other work than mail
        recorded_, state = own.take_and_work(MAIL)
    assert state is not None
    assert "is not the file that was recorded" in state["error"]
    with db.reading(db.API) as session:
        file = desk.case_file(session, recorded_.case)
    assert (file.case.status, file.proposal) == ("investigating", None)
    assert "is not the file that was recorded" in file.notes[0].text


def test_an_unsafe_proposal_refuses_a_reader_that_is_to_follow_another(adopted: int) -> None:
    nlp = pipeline.spacy.load(store.folder_of(pipeline.folder(MODELS), pipeline.shipped(MODELS)))
    nlp.meta["note"] = "the same once more"
    said = versions.measure(recorded(pipeline.keep(MODELS, nlp)), lambda *asked: {**passing(*asked), "unsafe": 1})
    assert any("unsafe" in text for text in said["problems"])


def test_what_is_no_reader_of_ours_is_not_loaded_and_holds_up_no_other_version(database: str, nlp: Any) -> None:
    other = pipeline.spacy.blank("en")
    other.add_pipe("sentencizer")
    number = recorded(pipeline.keep(MODELS, other))
    good = recorded(pipeline.shipped(MODELS))
    said = versions.measure_first()
    assert "other parts than a reader" in said[number]["problems"][0]
    assert said[good]["problems"] == []


def test_a_folder_that_was_spoilt_is_replaced_when_the_same_is_made_again(nlp: Any, tmp_path: Path) -> None:
    sha256 = store.keep_folder(tmp_path, nlp.to_disk)
    (tmp_path / sha256 / "config.cfg").write_text("x")
    with pytest.raises(store.Tampered):
        store.folder_of(tmp_path, sha256)
    assert store.keep_folder(tmp_path, nlp.to_disk) == sha256
    assert store.folder_of(tmp_path, sha256).is_dir()
