"""The installation's clock. Only edges ask it; everything beneath takes `now` as an argument.

The offset is stored with the installation, not with a process: whoever could move it would move every SLA.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

from sqlalchemy.orm import Session

from erp_core import db


def now(session: Session) -> datetime:
    """The installation's present moment, in UTC."""
    with db.raw(session) as raw:  # every request asks, so it is asked without ceremony
        moment: datetime = raw.execute("SELECT casework.desk_now()").fetchone()[0]
    return moment.astimezone(UTC)


def offset_for(as_of: date) -> int:
    """Days between the real date and `as_of`; the time of day stays."""
    return (as_of - datetime.now(UTC).date()).days
