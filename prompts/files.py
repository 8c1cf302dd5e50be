"""Prompts for language models: one text file each, with a header (name, version, variables), and how text from outside is put into one.

A file is `name: …`, `version: …`, `variables: …`, a line `---`, then the text with `$variable` where a number or a list of the house belongs.
"""

from __future__ import annotations

import hashlib
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template

HERE = Path(__file__).parent
NAMES = ("triage", "extract", "instruct", "investigate", "propose", "reply", "summarise", "chat", "wording", "judge")


@dataclass(frozen=True)
class Prompt:
    """One prompt as it ships, or as people promoted it."""

    name: str
    version: str
    variables: frozenset[str]
    text: str


def parse(raw: str) -> Prompt:
    """Read a prompt's file. Raises ValueError naming what is wrong with it."""
    head, line, text = raw.partition("\n---\n")
    fields = {name: value.strip() for name, _, value in (row.partition(":") for row in head.splitlines())}
    if not line or {"name", "version", "variables"} != fields.keys():
        raise ValueError("A prompt begins with the lines name, version and variables, then a line of three dashes.")
    variables = frozenset(fields["variables"].split())
    used = frozenset(Template(text).get_identifiers())
    if variables != used:
        raise ValueError(f"{fields['name']}: the header names {sorted(variables)}, the text uses {sorted(used)}.")
    return Prompt(fields["name"], fields["version"], variables, text.strip())


@cache
def shipped(name: str) -> str:
    """The file of a prompt as it ships."""
    return (HERE / f"{name}.txt").read_text("utf-8")


@dataclass(frozen=True)
class Filled:
    """Instructions ready to be sent, and the SHA-256 of the prompts they were made from."""

    text: str
    sha256: str


def filled(names: Sequence[str], promoted: Mapping[str, str], **values: str) -> Filled:
    """Several prompts as one text, each as promoted or else as shipped. Raises KeyError when a value is missing."""
    raw = [promoted.get(name) or shipped(name) for name in names]
    parts = [Template(parse(text).text).substitute(values) for text in raw]
    return Filled("\n\n".join(parts), hashlib.sha256("\0".join(raw).encode()).hexdigest())


def untrusted(label: str, text: str) -> str:
    """Text from outside as a labelled block. It can hold no mark-up of its own, so it cannot end the block or begin another."""
    inside = html.escape(text, quote=False)
    return f'<untrusted source="{html.escape(label)}">\n{inside}\n</untrusted>'


def of_colleague(text: str) -> str:
    """What one of our own people said, as a block that it cannot end: theirs to say, and no instruction about anything else."""
    return f"<colleague>\n{html.escape(text, quote=False)}\n</colleague>"


def as_written(quoted: str) -> str:
    """What a model quotes from a block, as it stood before it was put there."""
    return html.unescape(quoted)
