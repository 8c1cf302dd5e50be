"""An installation's own past as a History, read in the agent's role (or whoever evaluates)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from erp_core import clock, db
from erp_core.db import Session
from erp_core.queries import learning
from erp_core.queries.learning import Wanted
from ml.history import COLUMNS, History, history


def own(role: str = db.AGENT, tables: Sequence[str] = tuple(COLUMNS)) -> History:
    """Three years of this installation."""
    with db.reading(role) as session:
        return read(session, clock.now(session), tables)


def read(session: Session, now: datetime, tables: Sequence[str], wanted: Wanted | None = None) -> History:
    """What is asked for, as known at `now`."""
    return history(learning.past(session, now, tables, wanted), now.timestamp(), "own")
