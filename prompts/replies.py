"""Reply texts by name and language: those that were promoted, else the shipped `replies.toml`."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Any

TEXTS = Path(__file__).parent / "replies.toml"


NAME = "replies"
_promoted: ContextVar[str | None] = ContextVar("promoted", default=None)


@contextmanager
def using(text: str | None) -> Iterator[None]:
    """Inside, replies are written from this text; None: from the shipped one."""
    token = _promoted.set(text)
    try:
        yield
    finally:
        _promoted.reset(token)


def shipped() -> str:
    """The text that ships with this version."""
    return TEXTS.read_text("utf-8")


def digest() -> str:
    """SHA-256 of the text in use: which prompt wrote a reply."""
    return hashlib.sha256((_promoted.get() or shipped()).encode()).hexdigest()


@lru_cache(maxsize=8)
def _parsed(text: str | None) -> dict[str, Any]:
    return tomllib.loads(text if text is not None else shipped())


def _texts() -> dict[str, Any]:
    return _parsed(_promoted.get())


# a desk writes under its name, not under a person's
DESK = re.compile(
    r"(?:account(?:ing|s)|achats|admin|a[pr]|bestellung|billing|buchhaltung|buy(?:er|ing)|compras|credit|comptabilité|contabilidad|customer|dispatch|einkauf|facturaci[óo]n|facturation|finance|"
    r"info|inventory|invoices?|logisti\w+|maintenance|materials|office|operations|orders?|parts|payables|pedidos|procurement|purchasing|quotes|receivables|receiving|returns|sales|"
    r"service|shipping|stores|supply|support|team|the|vent[ae]s|versand|vertrieb|warehouse)",
    re.I,
)


def first_name(name: str) -> str:
    """How somebody is greeted; empty for a desk."""
    first = next(iter(name.split()), "").strip(",.")
    return "" if DESK.fullmatch(first) else first


def reply(name: str, language: str, *, to: str, signature: str, **values: str) -> str:
    """A complete reply. Raises KeyError when the text or one of its values is missing."""
    texts = _texts()
    said = texts.get(name) or _parsed(None)[name]  # a text promoted before this reply came to be does without it
    greeting = texts["greeting"][language].format(name=f" {to}" if to else "")
    body = said[language].format(**values).strip()
    closing = texts["closing"][language].format(signature=signature)
    return f"{greeting}\n\n{body[0].upper()}{body[1:]}\n\n{closing}"


def phrase(key: str, language: str, /, **values: str) -> str:
    """One line of facts. A text promoted before a line came to be does without it: then the shipped line is said."""
    said = _texts()["words"][language].get(key) or _parsed(None)["words"][language][key]
    return str(said.format(**values))
