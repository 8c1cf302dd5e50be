"""What is counted of a queue for its summary, and the summaries that a language model wrote and that were checked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from erp_core.rules.digest import MOST_NAMED, Figures, First, Group
from erp_core.tables.desk import Subscription, Summary

SOON_HOURS = 4
OPEN = "c.status IN ('new', 'investigating', 'awaiting_review') AND c.snoozed_until IS NULL AND c.queue = :queue"
COUNTED = """count(*) AS count, count(*) FILTER (WHERE c.due_at < :now) AS late, coalesce(sum(c.at_stake), 0) AS at_stake,
 (array_agg(c.id ORDER BY c.band, c.place, c.id))[1:{most}] AS cases"""


def figures(session: Session, queue: str, now: datetime) -> Figures:
    """A queue as it is now, of the firms that the transaction sees."""
    given = {"queue": queue, "now": now, "soon": now + timedelta(hours=SOON_HOURS)}
    counted = COUNTED.format(most=MOST_NAMED)
    whole = session.execute(
        text(f"SELECT {counted}, min(c.opened_at) AS oldest FROM case_file c WHERE {OPEN}"), given
    ).one()
    soon = session.execute(
        text(f"SELECT {counted} FROM case_file c WHERE {OPEN} AND c.due_at >= :now AND c.due_at < :soon"), given
    ).one()
    kinds = session.execute(
        text(
            f"SELECT c.kind AS name, {counted} FROM case_file c WHERE {OPEN} GROUP BY c.kind ORDER BY 2 DESC, 1 LIMIT 5"
        ),
        given,
    )
    parties = session.execute(
        text(
            f"""SELECT coalesce(k.name, s.name) AS name, {counted} FROM case_file c LEFT JOIN customer k ON k.code = c.customer
            LEFT JOIN supplier s ON s.code = c.supplier WHERE {OPEN} AND coalesce(k.name, s.name) IS NOT NULL
            GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 5"""
        ),
        given,
    )
    first = session.execute(
        text(
            f"""SELECT c.id, coalesce(k.name, s.name, replace(c.kind, '_', ' ')) AS title, c.priority, c.due_at FROM case_file c
            LEFT JOIN customer k ON k.code = c.customer LEFT JOIN supplier s ON s.code = c.supplier
            WHERE {OPEN} ORDER BY c.band, c.place, c.id LIMIT 3"""
        ),
        given,
    )
    return Figures(
        now,
        _group(whole, queue),
        _group(soon, "due soon"),
        whole.oldest,
        [_group(row, row.name) for row in kinds],
        [_group(row, row.name) for row in parties],
        [First(r.id, r.title, r.priority, r.due_at) for r in first],
    )


def _group(row: Any, name: str) -> Group:
    return Group(name, row.count, row.late, Decimal(row.at_stake), tuple(row.cases or ()))


ROWS = f"""
SELECT c.id, c.kind, c.priority, c.customer, k.name AS customer_name, c.order_number, c.at_stake, c.opened_at, c.due_at, p.action
FROM case_file c LEFT JOIN customer k ON k.code = c.customer
LEFT JOIN LATERAL (SELECT action FROM proposal WHERE case_id = c.id AND status = 'pending' ORDER BY id DESC LIMIT 1) p ON true
WHERE {OPEN} AND c.entity IS NOT DISTINCT FROM :entity ORDER BY c.band, c.place, c.id LIMIT :most"""


def rows(session: Session, queue: str, entity: str | None, most: int) -> Sequence[Any]:
    """Open cases of a firm's queue in order, in typed fields."""
    return session.execute(text(ROWS), {"queue": queue, "entity": entity, "most": most}).all()


BUSY = """SELECT queue, entity, count(*) AS open, max(id) AS newest FROM case_file WHERE status IN ('new', 'investigating', 'awaiting_review')
 AND queue <> 'none' AND entity IS NOT NULL GROUP BY queue, entity HAVING count(*) >= :least ORDER BY count(*) DESC"""


def busy(session: Session, least: int) -> Sequence[Any]:
    """Queues of firms with so many open cases: queue, entity, open, newest."""
    return session.execute(text(BUSY), {"least": least}).all()


def summaries(session: Session, queue: str) -> Sequence[Summary]:
    """What was written of a queue, one a firm."""
    return session.scalars(select(Summary).where(Summary.queue == queue).order_by(Summary.entity)).all()


def subscribed(session: Session, person: str, queue: str) -> Subscription | None:
    """Whether somebody gets a queue's digest by mail."""
    return session.get(Subscription, (person, queue))


def due_subscriptions(session: Session, now: datetime, most: int) -> Sequence[Subscription]:
    """Digests that are to be mailed by now and were not yet today."""
    query = select(Subscription).where(Subscription.hour <= now.hour)
    return session.scalars(
        query.where((Subscription.last_on.is_(None)) | (Subscription.last_on < now.date())).limit(most)
    ).all()
