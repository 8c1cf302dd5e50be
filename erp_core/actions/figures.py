"""Key figures counted by day, so that a page of them adds up days and not orders: today's often, those of the last weeks now and then."""

from __future__ import annotations

from datetime import datetime, time, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from erp_core.queries.kpis import CUTS, Kpi

LATELY, BACK = (
    2,
    400,
)  # days that are counted anew each minute, and now and then: what came late belongs to the day it is about
_BY = ", ".join(CUTS)
FORGET = text("DELETE FROM kpi_day WHERE kpi = :kpi AND day >= :first")
KEEP = f"""INSERT INTO kpi_day (kpi, day, {_BY}, value, weight, counted_at)
SELECT :kpi, (at AT TIME ZONE 'UTC')::date, {_BY}, sum(value), sum(weight), :now FROM ({{rows}}) r WHERE value IS NOT NULL GROUP BY 2, {_BY}"""


def known(session: Session) -> bool:
    """Whether anything was counted yet."""
    return bool(session.scalar(text("SELECT EXISTS (SELECT FROM kpi_day)")))


def count(session: Session, kpi: Kpi, now: datetime, days: int) -> None:
    """Count the last days of a figure, in place of what was counted of them; of a figure of the present state, today."""
    days = 1 if kpi.now else days
    first = datetime.combine(now.date() - timedelta(days=days - 1), time(), now.tzinfo)
    session.execute(FORGET, {"kpi": kpi.slug, "first": first.date()})
    given = {"kpi": kpi.slug, "since": first, "until": now, "now": now}
    session.execute(text(KEEP.format(rows=kpi.rows)), given)
