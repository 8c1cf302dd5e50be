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
        if day.isoweekday() in calendar.days and day not in calendar.holidays:
            opens = datetime.combine(day, calendar.opens, zone)
            ends = day if calendar.closes > calendar.opens else day + timedelta(days=1)
            yield opens.astimezone(UTC), datetime.combine(ends, calendar.closes, zone).astimezone(UTC)
        day += timedelta(days=1)


def calendar_of(policy: Policy, firm: str | None, country: str | None) -> WorkCalendar:
    """The calendar that a firm works by: its own, else its country's, else the one for all."""
    sites = policy.clocks.sites
    return policy.calendars[sites.get(firm or "") or sites.get(country or "") or policy.clocks.default]


def worked_from(calendar: WorkCalendar, moment: datetime) -> datetime:
    """The moment itself when somebody works on that day, else the same time on the next day that is worked."""
    zone, far = ZoneInfo(calendar.zone), moment + timedelta(days=60)
    while moment < far:
        day = moment.astimezone(zone).date()
        if day.isoweekday() in calendar.days and day not in calendar.holidays:
            return moment
        moment += timedelta(days=1)
    return far


def escalation_path(policy: Policy, queue: str) -> list[str]:
    """The roles that are told of a late case, in order."""
    return policy.escalation.paths.get(Queue(queue), policy.escalation.path)
