"""Journal entries and row images get their places in the chain after they were committed, and the chain is sealed. The clock does it.

Reads what is committed and adds rows of its own: no writer ever waits for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from erp_core import db
from erp_core.queries import proof
from erp_core.queries.proof import CONTENT, TABLE, link_hash
from erp_core.tables.proof import Seal

AT_ONCE = 5_000
MARGIN = (
    20_000  # numbers below the newest that a slow transaction may still commit; the first look of a process sees all
)
WHOLE_LOOK_SECONDS = 3600.0
ONE = text("SELECT pg_advisory_xact_lock(hashtextextended('chain', 0))")
# in arrays, for a statement a row would not keep up with orders in bulk
LINK = """
INSERT INTO chain_link (position, source, number, content_hash, hash)
SELECT * FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::text[], %s::text[])"""
WAKE = text("SELECT pg_notify('journal', '')")
LAST = text("SELECT position, hash FROM chain_link ORDER BY position DESC LIMIT 1")


@dataclass
class Sequencer:
    """Remembers how far back it has to look."""

    low: dict[str, int]
    looked_at_all: float = float("-inf")

    def position(self, session: Session) -> int:
        """Where the chain stands."""
        last = session.execute(LAST).one_or_none()
        return last.position if last else 0

    def step(self, session: Session, now: datetime, clock: float) -> Seal | None:
        """Link what is new, at most some thousands, and seal. None when there is nothing. Call again while it gives a seal."""
        if clock - self.looked_at_all > WHOLE_LOOK_SECONDS:
            self.low, self.looked_at_all = dict.fromkeys(TABLE, 0), clock
        session.execute(ONE)
        last = session.execute(LAST).one_or_none()
        position, previous = (last.position, last.hash) if last else (0, proof.START)
        links: list[tuple[int, str, int, str, str]] = []
        for source in TABLE:
            for number, content_hash in session.execute(_new(source), {"low": self.low[source], "most": AT_ONCE}):
                position += 1
                previous = link_hash(previous, position, content_hash)
                links.append((position, source, number, content_hash, previous))
                self.low[source] = max(self.low[source], number - MARGIN)
        if not links:
            return None
        with db.raw(session) as raw:
            raw.execute(LINK, [list(column) for column in zip(*links, strict=True)])
        made = Seal(position=position, hash=previous, sealed_at=now)
        session.add(made)
        session.flush()
        session.execute(WAKE)  # whoever waits for news of the journal, once this is committed: no writer pays for it
        return made


def sequencer() -> Sequencer:
    """One that has looked at nothing yet."""
    return Sequencer(dict.fromkeys(TABLE, 0))


def _new(source: str) -> TextClause:
    return text(f"""
SELECT n.id, encode(sha256(convert_to(n.content, 'UTF8')), 'hex') FROM (SELECT s.id, {CONTENT[source]} AS content FROM {TABLE[source]} s
 WHERE s.id > :low AND NOT EXISTS (SELECT FROM chain_link l WHERE l.source = '{source}' AND l.number = s.id)
 ORDER BY s.id LIMIT :most) n ORDER BY n.id""")
