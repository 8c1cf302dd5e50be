"""Nothing that can be signed or journaled is shown as a technical name, and nothing of it breaks a page."""

from __future__ import annotations

import re
import typing
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from api import views
from api.command_words import command_words
from api.words import TAGS
from erp_core.commands import COMMAND, Command
from erp_core.tables.desk import Proposal

CORE = Path(__file__).parents[2] / "erp_core"
KINDS: tuple[type[BaseModel], ...] = typing.get_args(typing.get_args(Command)[0])


def least(kind: type[BaseModel]) -> dict[str, Any]:
    """A well-formed command with nothing in it that may be left out."""
    said = _filled(kind.model_json_schema(), kind.model_json_schema())
    if said["type"] in ("set_price", "amend_order"):
        said |= {"customer": "C1"} if said["type"] == "set_price" else {"ship_to": "Dock 9"}
    for change in said.get("changes", []):
        change["quantity"] = 1
    return COMMAND.validate_python(said).model_dump(mode="json", exclude_none=True)  # type: ignore[attr-defined]


def _filled(schema: dict[str, Any], root: dict[str, Any]) -> Any:
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    if "oneOf" in schema or "anyOf" in schema:
        options = schema.get("oneOf") or schema["anyOf"]
        return _filled(options[-1] if "oneOf" in schema else options[0], root)
    if "const" in schema or "enum" in schema:
        return schema.get("const") or schema["enum"][0]
    if schema.get("type") == "object":
        said = schema.get("properties", {})
        names = [*schema.get("required", []), *(n for n in said if n == "type")]
        return {name: _filled(said[name], root) for name in names}
    if schema.get("type") == "array":
        return [_filled(schema["items"], root)] * schema.get("minItems", 0)
    if schema.get("type") == "boolean":
        return True
    if schema.get("type") in ("integer", "number"):
        return 1
    return _text(schema)


def _text(schema: dict[str, Any]) -> str:
    by_format = {"date": "2026-06-15", "date-time": "2026-06-15T12:00:00Z"}
    if schema.get("format") in by_format:
        return by_format[schema["format"]]
    for candidate in ("US", "EUR", "a@b.example", "DE 1234 5678", "words", "1"):
        if re.search(schema.get("pattern", ""), candidate) and len(candidate) >= schema.get("minLength", 0):
            return candidate
    raise AssertionError(schema)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_command_can_be_said_in_one_line(kind: type[BaseModel]) -> None:
    words = command_words(least(kind))
    assert len(words) > 5
    assert "None" not in words
    assert "{" not in words


def test_every_tag_of_the_journal_has_words() -> None:
    source = "".join(p.read_text() for p in [*CORE.rglob("*.py"), *CORE.rglob("*.sql")] if "migrations" not in p.parts)
    tags = {t for t in re.findall(r"""["']([a-z_]+:[a-z_]+:[a-z_]+)["']""", source) if not t.startswith("noun:")}
    assert tags - TAGS.keys() == set()


@pytest.mark.parametrize(
    ("kinds", "told"),
    [
        (["pause_case"], "Wait for an answer"),
        (["send_message"], "Letter"),
        (["transfer_stock", "send_message"], "Transfer stock, letter"),
        (["amend_order", "amend_order", "send_message"], "Amend order, letter"),
        (["send_message", "pause_case"], "Ask, and wait"),
        (["route_case"], "Hand over to a person"),
        (["route_case", "send_message"], "Hand over, letter"),
    ],
)
def test_a_list_says_what_signing_would_run_and_nothing_else(kinds: list[str], told: str) -> None:
    assert views.what_it_does(Proposal(commands=[{"type": k} for k in kinds])) == told
