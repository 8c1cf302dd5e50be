"""Which mail reader reads: the version that the core has in use, from a folder that still hashes to what was recorded; before any, the shipped one."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from erp_core import clock, db, settings
from erp_core.queries import models
from ml import pipeline, store

NAME = "mail_reader"


@dataclass(frozen=True)
class Reader:
    """A pipeline, and how findings call it."""

    nlp: Any
    name: str


def current(role: str = db.AGENT) -> Reader:
    """The reader in use, asked in a transaction of its own."""
    with db.reading(role) as session:
        return using(session)


def using(session: db.Session) -> Reader:
    """The reader in use. Raises Tampered when its folder is not what was recorded. After an upgrade that it does not fit, the shipped one reads."""
    used = models.in_use(session, NAME, clock.now(session))
    fitting = _fitting(used.id, used.sha256) if used is not None else None
    return fitting or _shipped(settings.load().models)


@cache
def _fitting(number: int, sha256: str) -> Reader | None:
    """A version's reader, loaded once; none, said once, when an upgrade left it behind."""
    try:
        return Reader(of(sha256), f"{NAME} {number}")
    except pipeline.Unusable as error:
        print(f"{NAME}, version {number}: {error} The shipped one reads meanwhile.", file=sys.stderr, flush=True)
        return None


@cache
def _shipped(place: Path) -> Reader:
    """The shipped reader, looked at once a process: hashing its folder takes longer than reading a mail."""
    sha256 = pipeline.shipped(place)
    return Reader(pipeline.load(place, sha256), f"{NAME} as shipped, {sha256[:12]}")


def of(sha256: str) -> Any:
    """The pipeline of a recorded version; when it is not on this machine and today's text makes the same, it is trained here."""
    place = settings.load().models
    try:
        return pipeline.load(place, sha256)
    except store.Tampered:
        if (
            (pipeline.folder(place) / sha256).exists()
            or not os.access(place, os.W_OK)
            or pipeline.shipped(place) != sha256
        ):
            raise
        return pipeline.load(place, sha256)
