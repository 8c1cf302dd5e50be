"""The form that amends a proposal: fields from the commands' own types, put together again to commands. The core looks at each change.

A field's name is its path: `0.changes.1.quantity` is the quantity of the second change of the first command.
"""

from __future__ import annotations

import copy
import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from api import words
from erp_core.commands import COMMANDS, Command
from erp_core.rules import letters

FIXED = ("type", "case", "in_reply_to")  # what makes it another command, or another case's, is not to be edited
LONG = ("body", "note", "reason", "text", "resolution")
CALLED = {
    "sku": "Item",
    "uom": "Unit",
    "body": "Text",
    "ship_to": "Delivery address",
    "substitute_sku": "Substitute",
    "iban": "IBAN",
    "weekdays": "Delivered on (1 Mon … 7 Sun, or any)",
    "countries": "Delivered in (US, CA …, or any)",
    "smallest_order": "Smallest order (0 for any)",
    "no_hazmat": "Takes no dangerous goods",
}
BESIDE = ("delivery",)  # what is said of one thing with the rest, in the same form
BLANK = 1  # empty rows offered at the end of a list


@dataclass(frozen=True)
class Entry:
    """One field: its path, what it is called, which kind of control, its value, and what may be chosen."""

    path: str
    label: str
    kind: Literal["text", "long", "number", "date", "check", "choice"]
    value: str
    options: tuple[tuple[str, str], ...] = ()
    required: bool = False

    @property
    def slots(self) -> dict[str, str]:
        """What stands in the text in braces, and what the core puts there as it is signed."""
        return letters.slots_in(self.value) if self.kind == "long" else {}


@dataclass(frozen=True)
class Group:
    """A command, or a row of a list within it: fields, and lists of further groups."""

    label: str
    entries: list[Entry] = field(default_factory=list)
    lists: list[tuple[str, list[Group]]] = field(default_factory=list)


def form_of(commands: Sequence[Mapping[str, Any]]) -> list[Group]:
    """The fields of some commands, as they are now. Raises ValidationError when they are not well-formed."""
    return [
        _group(words.title(c.type), str(n), c, type(c)) for n, c in enumerate(COMMANDS.validate_python(list(commands)))
    ]


def _group(label: str, path: str, value: BaseModel | None, form: type[BaseModel]) -> Group:
    group = Group(label)
    for name, about in form.model_fields.items():
        if name in FIXED:
            continue
        inner, optional = _plain(about.annotation)
        here, held = f"{path}.{name}", getattr(value, name, None)
        if (
            get_origin(inner) is list
            and isinstance(row := _plain(get_args(inner)[0])[0], type)
            and issubclass(row, BaseModel)
        ):
            rows = [*(held or []), *([None] * BLANK)]
            singular = words.title(name[:-1] if name.endswith("s") else name)
            group.lists.append(
                (
                    words.title(name),
                    [_group(f"{singular} {n}" if one is not None else f"One more {singular.lower()}", f"{here}.{n - 1}", one, row) for n, one in enumerate(rows, 1)],
                )
            )  # fmt: skip
        elif name in BESIDE:
            group.entries.extend(_beside(here, held, inner))
        elif get_origin(inner) in (list, dict) or (isinstance(inner, type) and issubclass(inner, BaseModel)):
            continue  # stays as it is
        else:
            required = about.is_required() and not optional and value is not None
            group.entries.append(_entry(here, name, inner, optional, held, required))
    return group


def _beside(path: str, held: BaseModel | None, form: type[BaseModel]) -> list[Entry]:
    found = []
    for name, about in form.model_fields.items():
        inner, optional = _plain(about.annotation)
        value = getattr(held, name, None)
        if get_origin(inner) is list:
            value = ", ".join(str(v) for v in value) or "any" if isinstance(value, list) else value
            inner = str
        found.append(_entry(f"{path}.{name}", name, inner, optional, value, False))
    return found


def _entry(path: str, name: str, kind: Any, optional: bool, held: Any, required: bool) -> Entry:
    label = CALLED.get(name, words.title(name))
    if kind is bool and optional:  # left open, yes or no are three things
        said = {None: "", True: "true", False: "false"}.get(held, str(held))
        return Entry(path, label, "choice", said, (("", "–"), ("true", "Yes"), ("false", "No")))
    if kind is bool:
        return Entry(path, label, "check", "1" if held else "")
    if get_origin(kind) is Literal or (isinstance(kind, type) and issubclass(kind, Enum)):
        values = [str(v.value if isinstance(v, Enum) else v) for v in (get_args(kind) or list(kind))]
        options = tuple((v, words.title(v)) for v in values)
        return Entry(
            path, label, "choice", str(held or ""), (("", "–"), *options) if optional or held is None else options
        )
    if kind in (date, datetime):
        return Entry(path, label, "date", str(held)[:10] if held else "", required=required)
    if kind in (Decimal, int):
        shown = words.quantity(held) if isinstance(held, Decimal) else "" if held is None else str(held)
        return Entry(path, label, "number", shown.replace(",", ""), required=required)
    return Entry(path, label, "long" if name in LONG else "text", "" if held is None else str(held), required=required)


def _plain(annotation: Any) -> tuple[Any, bool]:
    """A type without Annotated and without None; whether None was allowed."""
    optional = False
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation = get_args(annotation)[0]
        elif origin in (Union, types.UnionType):
            inner = [a for a in get_args(annotation) if a is not type(None)]
            optional = optional or len(inner) < len(get_args(annotation))
            annotation = inner[0]
        else:
            return annotation, optional


def kind_of(form: type[BaseModel]) -> str:
    """The type that a command's form says it is."""
    return str(form.model_fields["type"].default)


def blank(form: type[BaseModel], known: Mapping[str, str]) -> Group:
    """The form of a command that is not there yet, with what is known of it filled in."""
    return _group(words.title(kind_of(form)), "0", _told(form, known), form)


def _told(form: type[BaseModel], known: Mapping[str, str]) -> BaseModel:
    """What somebody wrote in a form, unchecked, to be shown again."""
    given: dict[str, Any] = {name: text for name, text in known.items() if name in form.model_fields}
    for name in (n for n in BESIDE if n in form.model_fields):
        inner, _ = _plain(form.model_fields[name].annotation)
        given[name] = _told(
            inner, {k.removeprefix(f"{name}."): text for k, text in known.items() if k.startswith(f"{name}.")}
        )
    return form.model_construct(None, **given)


def made(form: type[BaseModel], said: Mapping[str, str]) -> Command:
    """The command that a form says. Raises ValidationError."""
    value: dict[str, Any] = {"type": kind_of(form)}
    _fill(value, "0", form, said)
    return COMMANDS.validate_python([value])[0]


def together(commands: Sequence[Mapping[str, Any]], said: Mapping[str, str]) -> list[dict[str, Any]]:
    """The commands with what a form says in place of what they said; rows left empty are not there, commands ticked as `drop` neither."""
    made = [dict(copy.deepcopy(c)) for c in commands]
    forms = [type(c) for c in COMMANDS.validate_python(list(commands))]
    for n, form in enumerate(forms):
        _fill(made[n], str(n), form, said)
    return [c for n, c in enumerate(made) if said.get(f"{n}.drop") != "1"]


def _fill(value: dict[str, Any], path: str, form: type[BaseModel], said: Mapping[str, str]) -> None:
    for name, about in form.model_fields.items():
        inner, _ = _plain(about.annotation)
        here = f"{path}.{name}"
        if (
            get_origin(inner) is list
            and isinstance(row := _plain(get_args(inner)[0])[0], type)
            and issubclass(row, BaseModel)
        ):
            if any(key.startswith(f"{here}.") for key in said):
                value[name] = _rows(list(value.get(name) or []), here, row, said)
        elif name in BESIDE:
            if any(said[key].strip() for key in said if key.startswith(f"{here}.")):
                value[name] = dict(value.get(name) or {})
                _fill(value[name], here, inner, said)
        elif get_origin(inner) is list and here in said:
            value.pop(name, None)
            if text := said[here].strip():
                value[name] = [] if text.lower() == "any" else [v for v in re.split(r"[\s,;]+", text) if v]
        elif inner is bool and f"{here}.shown" in said:
            value[name] = said.get(here) == "1"
        elif here in said and name not in FIXED:
            text = said[here].strip()
            if inner is datetime and text == str(value.get(name))[:10]:
                continue  # the day is as it was, so is the hour
            if text or about.is_required():
                value[name] = text
            else:
                value.pop(name, None)


def _rows(
    rows: list[dict[str, Any]], path: str, form: type[BaseModel], said: Mapping[str, str]
) -> list[dict[str, Any]]:
    count = 1 + max(int(key[len(path) + 1 :].split(".")[0]) for key in said if key.startswith(f"{path}."))
    kept = []
    for n in range(min(count, 500)):
        row = rows[n] if n < len(rows) else {}
        before = dict(row)
        _fill(row, f"{path}.{n}", form, said)
        named = {k: v for k, v in row.items() if v not in (None, "", False)}
        if named and (before or len(named) > 1 or set(named) - {"uom"}):
            kept.append(row)
    return kept


def readable(commands: Sequence[Command]) -> list[dict[str, Any]]:
    """Commands as they are kept."""
    return [c.model_dump(mode="json", exclude_none=True) for c in commands]
