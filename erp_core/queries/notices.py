"""What somebody wants to know without looking: what others did to one's own cases, what came back, what waits for one's signature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

LATELY = timedelta(days=7)
MOST = 100
# cases that are one's own: one has them, had decided on them lately, or asked for what is proposed there
OWN = """
SELECT id FROM case_file WHERE assignee = :me AND status IN ('new', 'investigating', 'awaiting_review')
UNION SELECT case_id FROM decision WHERE actor = :me AND decided_at > :since"""
NEWS = f"""
SELECT e.id, e.at, e.actor, e.tag, e.case_id, k.title, k.kind, e.after FROM journal_entry e JOIN case_file k ON k.id = e.case_id
WHERE e.case_id IN ({OWN}) AND e.at > :since AND e.actor <> :me AND e.tag = ANY(:tags)
AND (e.tag <> 'case:desk:assigned' OR e.after ->> 'assignee' = :me) ORDER BY e.id DESC LIMIT :most"""
TAGS = [
    "case:desk:assigned", "case:sla:breached", "case:sla:escalated", "case:proposal:filed", "case:proposal:signed", "case:proposal:executed",
    "case:proposal:rejected", "case:proposal:escalated", "message:outbox:failed", "chat:customer:received",
]  # fmt: skip
SEEN = "SELECT coalesce((SELECT entry FROM notice_seen WHERE person = :me), 0)"


@dataclass(frozen=True)
class Notice:
    """One piece of news about a case of one's own; `new` since one looked last."""

    entry: int
    at: datetime
    actor: str
    tag: str
    case: int
    title: str
    new: bool


def news(session: Session, me: str, now: datetime, limit: int = MOST) -> Sequence[Notice]:
    """News of the last days, newest first."""
    seen = session.scalar(text(SEEN), {"me": me}) or 0
    given = {"me": me, "since": now - LATELY, "tags": TAGS, "most": limit}
    return [
        Notice(r.id, r.at, r.actor, r.tag, r.case_id, r.title, r.id > seen) for r in session.execute(text(NEWS), given)
    ]


def unseen(session: Session, me: str, now: datetime) -> int:
    """How many of them one has not looked at; at most MOST."""
    return sum(n.new for n in news(session, me, now))
