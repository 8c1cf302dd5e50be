"""What an operator looks at: runs of the agent that took long, and what is stuck."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

SLOWEST = """
SELECT f.case_id, f.run, f.recorded_at, (f.content ->> 'ms')::int AS ms, f.content ->> 'mode' AS mode, k.title FROM finding f JOIN case_file k ON k.id = f.case_id
WHERE f.recorded_at >= :since AND f.content ? 'ms' ORDER BY 4 DESC LIMIT 15"""


def slowest_runs(session: Session, since: datetime) -> Sequence[Any]:
    """The agent's longest runs, each with its case."""
    return session.execute(text(SLOWEST), {"since": since}).all()


@dataclass(frozen=True)
class Stuck:
    """Something that does not go on by itself: how many, and what to do about it."""

    what: str
    count: int
    remedy: str


STUCK = [
    ("Cases that the agent gave up", "SELECT count(*) FROM case_file WHERE status IN ('new', 'investigating') AND attempts >= 5 AND NOT worked", "Open them and work them by hand; their journal says why."),
    ("Cases that wait for the agent longer than ten minutes", "SELECT count(*) FROM case_file WHERE status IN ('new', 'investigating') AND kind <> 'chat' AND NOT worked AND attempts < 5 AND opened_at < :then", "See that an agent process runs and that the agent is not stopped."),
    ("Letters that could not be sent", "SELECT count(*) FROM outbox WHERE status = 'failed'", "Check COUNTERSIGN_SMTP_URL and the address; the case of each has the server's answer."),
    ("Letters that wait longer than ten minutes", "SELECT count(*) FROM outbox WHERE status = 'queued' AND queued_at < :then", "Without COUNTERSIGN_SMTP_URL nothing is sent; set it, or see that the clock process runs."),
    ("Events that wait for their subject longer than ten minutes", "SELECT count(*) FROM waiting_event WHERE applied_at IS NULL AND received_at < :then", "The order or shipment they are about never came; ask the system that sent them."),
]  # fmt: skip


def stuck(session: Session, now: datetime) -> list[Stuck]:
    """What is stuck, with the remedy; what is not is not named."""
    given = {"then": now - timedelta(minutes=10)}
    counted = [Stuck(what, session.scalar(text(query), given) or 0, remedy) for what, query, remedy in STUCK]
    return [s for s in counted if s.count]
