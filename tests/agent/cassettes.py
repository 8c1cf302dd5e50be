"""A language model on tape: replayed by tests, recorded by `make record` against whatever OPENAI_BASE_URL names."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import vcr

from agent.llm import Endpoint, Line
from erp_core import settings

HERE = Path(__file__).parent / "cassettes"
PLACE = "http://model.example/v1"
RECORDING = os.environ.get("COUNTERSIGN_RECORD") == "1"


def _as_kept(request: Any) -> Any:
    """No host, no key: any endpoint may have answered."""
    request.uri = f"{PLACE}/{request.uri.partition('/v1/')[2]}"
    request.headers = {"content-type": "application/json"}
    return request


def _same_body(one: Any, other: Any) -> None:
    assert json.loads(one.body) == json.loads(other.body)


def _answer_as_kept(response: dict[str, Any]) -> dict[str, Any]:
    response["headers"] = {"content-type": ["application/json"]}
    return response


@contextmanager
def tape(name: str) -> Iterator[Line]:
    """A line to the model whose answers are in cassettes/<name>.yaml."""
    own = vcr.VCR(
        cassette_library_dir=str(HERE),
        record_mode="all" if RECORDING else "none",
        before_record_request=_as_kept,
        before_record_response=_answer_as_kept,
        decode_compressed_response=True,
    )
    own.register_matcher("same body", _same_body)
    own.match_on = ["method", "same body"]
    address = os.environ["OPENAI_BASE_URL"] if RECORDING else PLACE
    patience = 540.0 if RECORDING else 5.0
    config = replace(
        settings.load(), model_url=address, model_key="none", model_names={"": "recorded"}, model_seconds=patience
    )
    path = HERE / f"{name}.yaml"
    if RECORDING:
        path.unlink(missing_ok=True)
    with own.use_cassette(f"{name}.yaml"):
        yield Line(Endpoint(config), patience)
