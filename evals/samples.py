"""Samples as a domain expert writes them: a given world, what happens, and what must be true afterwards.

A YAML file is a suite, a list of samples. `vary` gives variations: each of its entries replaces `{name}` in the sample's texts.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from erp_core.commands import COMMAND
from erp_core.errors import CountersignError

HERE = Path(__file__).parent / "suites"
FAMILIES = ("inbox", "credit", "price", "stock", "receipt", "invoice", "return", "supplier", "chat")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Mail(_Part):
    """A mail that comes in."""

    sender: str = Field(alias="from")
    subject: str = ""
    body: str
    html: str = ""
    headers: dict[str, str] = {}


class Step(_Part):
    """A command, by a person under their own authority or by the system."""

    by: str = Field("system", alias="as")
    do: dict[str, Any]

    @field_validator("do")
    @classmethod
    def _known(cls, do: dict[str, Any]) -> dict[str, Any]:
        COMMAND.validate_python(do)
        return do


class Line(_Part):
    """What somebody says in a chat when the last answer matches `when` (a pattern), and otherwise, if anything."""

    when: str
    say: str
    otherwise: str | None = None


class Talk(_Part):
    """A customer in a chat, by the address of a contact, and what the customer says in turn."""

    who: str = Field(alias="as")
    language: Literal["en", "es", "fr", "de"] = "en"
    says: list[str | Line]


class Event(_Part):
    """What happens: a mail, a chat, or steps."""

    mail: Mail | None = None
    chat: Talk | None = None
    steps: list[Step] = []


class Expect(_Part):
    """What must be true afterwards. `state`: documents with some of their fields; `never`: commands that may not be proposed."""

    state: list[dict[str, Any]] = []
    commands: list[dict[str, Any]] | None = None
    never: list[str] = []
    intent: str | None = None
    action: str | None = None
    customer: str | None = None
    order: str | None = None
    items: list[dict[str, str]] | None = None
    requested_date: str | None = None
    queue: str | None = None
    priority: list[str] = []
    refused: bool | None = None
    language: str | None = None
    told: list[str] = []
    untold: list[str] = []
    handed_over: str | None = None
    passed_on: int | None = None
    language_of_chat: str | None = None


class Sample(_Part):
    """One task."""

    id: str
    about: str
    must_pass: bool = False
    hard: bool = False
    given: list[Step] = []
    event: Event
    sign: str | None = None
    expect: Expect
    vary: list[dict[str, str]] = []
    family: str = ""
    source: Literal["written", "feedback", "labelled"] = "written"


def suite(name: str, folder: Path = HERE) -> list[Sample]:
    """All samples of a suite, variations spelled out. Raises CountersignError naming the place of what cannot be read."""
    path = folder / f"{name}.yaml"
    if not path.exists():
        raise CountersignError(
            f"There is no suite {name}; there are: {', '.join(sorted(p.stem for p in folder.glob('*.yaml')))}."
        )
    try:
        listed = yaml.safe_load(path.read_text("utf-8")) or []
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CountersignError(f"{path}: {error}") from error
    if not isinstance(listed, list) or not all(isinstance(told, dict) for told in listed):
        raise CountersignError(f"{path}: a suite is a list of samples, each beginning with `- id:`.")
    found = []
    for number, told in enumerate(listed):
        try:
            found += _spelled(told, name, number)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise CountersignError(f"{path}, sample {told.get('id', number + 1)}: {place}: {first['msg']}") from error
    twice = sorted({one.id for one in found if sum(one.id == other.id for other in found) > 1})
    if twice:
        raise CountersignError(f"{path}: two samples are called {twice[0]}.")
    return found


def _spelled(told: dict[str, Any], family: str, number: int) -> list[Sample]:
    """A sample and its variations, each a sample of its own."""
    told = {"family": family, **told}
    variations = told.pop("vary", None) or [{}]
    found = []
    for turn, values in enumerate(variations):
        text = json.dumps(told, default=str)
        for name, value in values.items():
            text = text.replace("{" + name + "}", json.dumps(str(value))[1:-1])
        one = json.loads(text)
        if len(variations) > 1:
            one["id"] = f"{told.get('id', number)}.{turn + 1}"
        found.append(Sample.model_validate(one))
    return found
