"""When people work: spans of time in which a due time runs. In UTC, right over changes of daylight saving."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from erp_core.policy import Policy, WorkCalendar
from erp_core.values import Queue


def spans(calendar: WorkCalendar, first: date, last: date) -> Iterator[tuple[datetime, datetime]]:
    """From opening to closing of each working day, both days included. Opening after closing means through the night."""
    zone, day = ZoneInfo(calendar.zone), first
    while day <= last:
        if _worked(calendar, day):
            opens = datetime.combine(day, calendar.opens, zone)
            ends = day if calendar.closes > calendar.opens else day + timedelta(days=1)
            yield opens.astimezone(UTC), datetime.combine(ends, calendar.closes, zone).astimezone(UTC)
        day += timedelta(days=1)


def worked_from(calendar: WorkCalendar, moment: datetime) -> datetime:
    """The moment itself when somebody works on that day, else the same time on the next day that is worked."""
    zone, far = ZoneInfo(calendar.zone), moment + timedelta(days=60)
    while moment < far:
        if _worked(calendar, moment.astimezone(zone).date()):
            return moment
        moment += timedelta(days=1)
    return far


def _worked(calendar: WorkCalendar, day: date) -> bool:
    return day.isoweekday() in calendar.days and day not in calendar.holidays


def escalation_path(policy: Policy, queue: str) -> list[str]:
    """The roles that are told of a late case, in order."""
    return policy.escalation.paths.get(Queue(queue), policy.escalation.path)
