"""What the assistant says, by name and language, from `chat.toml`."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

LANGUAGES = ("en", "es", "fr", "de")


@cache
def texts() -> dict[str, Any]:
    """All of it."""
    return tomllib.loads((Path(__file__).parent / "chat.toml").read_text("utf-8"))


def said(name: str, language: str, /, **values: str) -> str:
    """A whole answer. Raises KeyError when the text or one of its values is missing."""
    text: str = texts()[name][language].format(**values)
    return text


def words(name: str, language: str, /, **values: str) -> str:
    """One line of facts."""
    text: str = texts()["words"][language][name].format(**values)
    return text
