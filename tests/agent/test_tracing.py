"""Runs leave a trace in MLflow's record: what they are about, which prompt, what was asked and what it took; and nothing waits for it."""

from __future__ import annotations

from typing import Any

import pytest

from agent.ingest import triage
from agent.tracing import Tracer
from agent.worker import worker as working
from ml import tracking
from tests.agent.test_llm import MAIL, answering


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    told: list[Any] = []
    monkeypatch.setattr(tracking, "register_prompts", lambda prompts: told.append(sorted(prompts)))
    monkeypatch.setattr(tracking, "trace", lambda run, steps, ended: told.append((run, steps, ended)))
    return told


def test_a_run_is_traced_once_with_its_prompts_and_questions(database: str, kept: list[Any]) -> None:
    tracer = Tracer()
    assert tracer.step() == 0
    with working(line=answering({})) as own:
        case = triage(own, MAIL)["case"]
    assert tracer.step() == 1
    assert tracer.step() == 0
    prompts, (run, steps, ended) = kept
    assert {"triage", "extract", "reply", "chat"} <= set(prompts)
    assert run["tags"]["case"] == case
    assert run["tags"]["by"] == "language model"
    assert run["ms"] > 0
    assert ended > 0
    assert [(s["purpose"], s["outcome"]) for s in steps] == [("read", "answered"), ("plan", "answered")]
    assert all(len(s["prompt"]) == 64 for s in steps)


def test_a_record_that_is_down_stops_nothing(database: str, kept: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    tracer = Tracer()
    tracer.step()
    with working(line=answering({})) as own:
        triage(own, MAIL)
    monkeypatch.setattr(tracking, "trace", lambda *_: 1 / 0)
    assert tracer.step() == 1
