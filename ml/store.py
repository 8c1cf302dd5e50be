"""Model files: written under the digest of their text, read only when the core names that digest and the text still hashes to it."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

from erp_core import settings
from erp_core.errors import CountersignError


class Tampered(CountersignError):
    """A model file is not what was recorded."""


def folder() -> Path:
    """Where model files live."""
    return settings.load().models / "store"


def keep(text: str) -> Path:
    """Write a model under the digest of its text; the same text is one file."""
    path = folder() / f"{hashlib.sha256(text.encode()).hexdigest()}.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
            file.write(text)
        os.replace(file.name, path)
    return path


def read(sha256: str) -> dict[str, Any]:
    """The content of the model with this digest. Raises Tampered when the file is missing or says something else."""
    path = folder() / f"{sha256}.json"
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        words = f"The file of model {sha256[:12]} is not in {path.parent}. Copy it there from where it was trained, or train anew."
        raise Tampered(words) from error
    if hashlib.sha256(raw).hexdigest() != sha256:
        words = f"{path} is not the file that was recorded as {sha256[:12]}; it is not used. Restore it, or train anew."
        raise Tampered(words)
    return _parsed(raw)


@lru_cache(maxsize=16)
def _parsed(raw: bytes) -> dict[str, Any]:
    """What was hashed is what is parsed."""
    content: dict[str, Any] = json.loads(raw)
    return content
