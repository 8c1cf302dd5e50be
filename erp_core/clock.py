"""The installation's clock. Only edges ask it; everything beneath takes `now` as an argument.

The offset is stored with the installation, not with a process: whoever could move it would move every SLA.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

from sqlalchemy import text
from sqlalchemy.orm import Session


def now(session: Session) -> datetime:
    """The installation's present moment, in UTC."""
    moment: datetime = session.execute(text("SELECT casework.desk_now()")).scalar_one()
    return moment.astimezone(UTC)


def offset_for(as_of: date) -> int:
    """Days between the real date and `as_of`; the time of day stays."""
    return (as_of - datetime.now(UTC).date()).days
