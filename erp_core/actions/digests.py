"""Digests of queues by mail, to whoever wants them: the house's own sentences, counted when they are sent."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from erp_core import db
from erp_core.actions.messages import put_out
from erp_core.errors import Problem, RuleViolation
from erp_core.queries import desk, digests
from erp_core.rules.digest import sentences
from erp_core.tables.desk import Subscription
from erp_core.values import Queue, digest

AT_ONCE = 20


def subscribe(session: Session, person: str, queue: str, hour: int) -> None:
    """Mail somebody a queue's digest each day from an hour (UTC) on; asked again, at the new hour."""
    if queue not in {q.value for q in Queue} or not 0 <= hour <= 23:
        raise RuleViolation([Problem("digest_unknown", f"There is no digest of {queue} at {hour}.")])
    kept = digests.subscribed(session, person, queue)
    if kept is None:
        session.add(Subscription(person=person, queue=queue, hour=hour))
    else:
        kept.hour = hour
    session.flush()


def unsubscribe(session: Session, person: str, queue: str) -> None:
    """No more of it."""
    kept = digests.subscribed(session, person, queue)
    if kept is not None:
        session.delete(kept)
        session.flush()


def send_due(session: Session, now: datetime) -> int:
    """Mail the digests whose hour has come, each of the firms its reader may see; how many."""
    sent = 0
    for due in digests.due_subscriptions(session, now, AT_ONCE):
        reader = desk.person(session, due.person, now)
        db.look_at(session, reader.firms)
        told = sentences(digests.figures(session, due.queue, now))
        db.look_at(session, db.EVERY_FIRM)
        lines = [f"- {s.text}" + (f" Cases {', '.join(f'#{n}' for n in s.cases)}." if s.cases else "") for s in told]
        name = digest(["digest", due.person, due.queue, now.date().isoformat()])[:24]
        title = due.queue.replace("_", " ").capitalize()
        put_out(session, name, due.person, f"{title}: {told[0].text}"[:200], "\n".join(lines), now)
        due.last_on = now.date()
        session.flush()
        sent += 1
    return sent
