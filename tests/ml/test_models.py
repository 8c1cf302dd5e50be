"""The training text is well-formed, and the pipeline stores nothing that can run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from erp_core.errors import CountersignError
from erp_core.values import Intent
from ml import corpus, pipeline, store, tracking
from tests.conftest import MODELS


def test_every_training_mail_has_a_known_intent_and_text() -> None:
    examples = corpus.read()
    assert len(examples) > 4000
    assert {e.intent for e in examples} == {i.value for i in Intent}
    assert {e.language for e in examples} == set(corpus.LANGUAGES)


def test_a_malformed_record_is_named_by_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("order_status en\nSubject: a\nb\n%%\nnonsense en\nSubject: c\nd\n%%\n")
    with pytest.raises(CountersignError, match=r"x\.txt line 5: 'nonsense en'"):
        corpus.read(tmp_path)


def test_the_stored_pipeline_holds_arrays_and_json_alone(nlp: Any) -> None:
    kinds = {
        p.suffix for p in store.folder_of(pipeline.folder(MODELS), pipeline.shipped(MODELS)).rglob("*") if p.is_file()
    }
    assert not kinds & {".pkl", ".pickle", ".joblib"}
    assert ".npz" in kinds


@pytest.mark.parametrize(
    ("subject", "body", "intent", "language"),
    [
        ("cancel", "please cancel our order, we do not need it any more", "order_cancellation", "en"),
        ("", "where is my order? any tracking yet?", "order_status", "en"),
        ("Devolución", "solicitamos devolver las válvulas, favor de enviar el RMA", "return_request", "es"),
        ("Angebot", "Bitte um ein Angebot und die Lieferzeit für 20 Stück", "availability_quote", "de"),
        ("Manquants", "il manque deux caisses sur la livraison d'hier", "delivery_discrepancy", "fr"),
    ],
)
def test_plain_mails_are_read_plainly(nlp: Any, subject: str, body: str, intent: str, language: str) -> None:
    said = pipeline.read(nlp, subject, body)
    assert max(said.intents, key=lambda k: said.intents[k]) == intent
    assert said.language == language
    assert abs(sum(said.intents.values()) - 1) < 1e-6


def test_figures_have_names_that_mlflow_takes() -> None:
    told = tracking.flat({"slices": {"the core's own work": {"passed": 1.0}, "tier=A|x": 2, "text": "no number"}})
    assert told == {"slices.the core_s own work.passed": 1.0, "slices.tier_A_x": 2.0}
