"""Model files and folders: written under the digest of what they hold, read only when the core names that digest and they still hash to it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
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


def keep_folder(place: Path, write: Callable[[Path], None]) -> str:
    """Keep what `write` puts into a folder under the digest of its files, in `place`. Returns the digest."""
    place.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=place))
    write(fresh)
    sha256 = digest_of(fresh)
    if (place / sha256).is_dir() and digest_of(place / sha256) != sha256:
        shutil.rmtree(place / sha256)  # spoilt: what was made now is what it should be
    try:
        os.replace(fresh, place / sha256)
    except OSError:  # it is there already
        shutil.rmtree(fresh)
    return sha256


def whole(place: Path, sha256: str) -> bool:
    """Whether the folder with this digest is there and holds just that."""
    return (place / sha256).is_dir() and digest_of(place / sha256) == sha256


def digest_of(path: Path) -> str:
    """SHA-256 over the names and the digests of all files of a folder."""
    whole = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        whole.update(f"{file.relative_to(path)}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def folder_of(place: Path, sha256: str) -> Path:
    """The folder with this digest. Raises Tampered when it is missing or holds something else."""
    if not (place / sha256).is_dir():
        raise Tampered(_missing(sha256, place))
    if not whole(place, sha256):
        raise Tampered(_other(place / sha256, sha256))
    return place / sha256


def _missing(sha256: str, place: Path) -> str:
    return f"The file of model {sha256[:12]} is not in {place}. Copy it there from where it was trained, or train anew."


def _other(path: Path, sha256: str) -> str:
    return f"{path} is not the file that was recorded as {sha256[:12]}; it is not used. Restore it, or train anew."


def read(sha256: str) -> dict[str, Any]:
    """The content of the model with this digest. Raises Tampered when the file is missing or says something else."""
    path = folder() / f"{sha256}.json"
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise Tampered(_missing(sha256, path.parent)) from error
    if hashlib.sha256(raw).hexdigest() != sha256:
        raise Tampered(_other(path, sha256))
    return _parsed(raw)


@lru_cache(maxsize=16)
def _parsed(raw: bytes) -> dict[str, Any]:
    """What was hashed is what is parsed."""
    content: dict[str, Any] = json.loads(raw)
    return content
