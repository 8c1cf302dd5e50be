"""The witness: a file outside the database that holds every seal, so that a changed journal cannot agree with it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from erp_core.errors import CountersignError


def append(path: Path, seal: dict[str, Any]) -> None:
    """Write one seal to the end of the file, and to the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(seal) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> list[dict[str, Any]]:
    """All seals of a witness file, or of a file with a single one. Raises CountersignError naming the line that cannot be read."""
    return list(_seals(path))


def _seals(path: Path) -> Iterator[dict[str, Any]]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CountersignError(f"{path} cannot be read: {error}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            seal = json.loads(line)
            yield {"position": int(seal["position"]), "hash": str(seal["hash"]), "sealed_at": str(seal["sealed_at"])}
        except (ValueError, KeyError, TypeError) as error:
            raise CountersignError(f"{path}, line {number}: this is no seal.") from error
