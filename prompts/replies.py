"""Reply texts by name and language, from `replies.toml`."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

TEXTS = Path(__file__).parent / "replies.toml"


@cache
def _texts() -> dict[str, Any]:
    return tomllib.loads(TEXTS.read_text("utf-8"))


def reply(name: str, language: str, *, to: str, signature: str, **values: str) -> str:
    """A complete reply. Raises KeyError when the text or one of its values is missing."""
    texts = _texts()
    greeting = texts["greeting"][language].format(name=f" {to}" if to else "")
    body = texts[name][language].format(**values).strip()
    closing = texts["closing"][language].format(signature=signature)
    return f"{greeting}\n\n{body[0].upper()}{body[1:]}\n\n{closing}"


def phrase(key: str, language: str, /, **values: str) -> str:
    """One line of facts."""
    text: str = _texts()["words"][language][key].format(**values)
    return text
