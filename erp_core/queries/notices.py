"""What somebody wants to know without looking: what others did to one's own cases, what came back, what waits for one's signature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

LATELY = timedelta(days=7)
MOST = 100
# cases that are one's own, and from when on: one has them, or decided on them lately
OWN = """
SELECT k.id, coalesce((SELECT max(a.at) FROM journal_entry a WHERE a.case_id = k.id AND a.tag = 'case:desk:assigned' AND a.after ->> 'assignee' = :me), :since) AS own_from
FROM case_file k WHERE k.assignee = :me AND k.status IN ('new', 'investigating', 'awaiting_review')
UNION ALL SELECT case_id, min(decided_at) FROM decision WHERE actor = :me AND decided_at > :since GROUP BY case_id"""
NEWS = f"""
SELECT DISTINCT e.id, e.at, e.actor, e.tag, e.case_id, k.title, k.kind, e.after FROM ({OWN}) o JOIN journal_entry e ON e.case_id = o.id AND e.at >= o.own_from
JOIN case_file k ON k.id = e.case_id WHERE e.at > :since AND e.actor <> :me AND e.tag = ANY(:tags)
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
