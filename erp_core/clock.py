"""The installation's clock. Only edges ask it; everything beneath takes `now` as an argument.

The offset is stored with the installation, not with a process: whoever could move it would move every SLA.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

from sqlalchemy.orm import Session

from erp_core import db

POLICY = "policy in force"  # what a session knows of it: its transaction, the moment, the hash
MOMENT = "moment"  # when a picture was taken (`db.picture`)


def now(session: Session) -> datetime:
    """The installation's present moment, in UTC. The same round trip brings the policy in force at it, which nearly all will ask for.

    In a picture time stands still: it is asked once.
    """
    taken: datetime | None = session.info.get(MOMENT)
    if taken is not None:
        return taken
    with db.raw(session) as raw:  # every request asks, so it is asked without ceremony
        moment, policy = raw.execute("SELECT casework.desk_now(), casework.policy_hash()").fetchone()
    here: datetime = moment.astimezone(UTC)
    session.info[POLICY] = (session.get_transaction(), here, policy)
    if session.info.get(db.PICTURE):
        session.info[MOMENT] = here
    return here


def same_moment(session: Session, other: Session) -> None:
    """Let a picture be of the moment that another one was taken at, under the same policy."""
    taken, policy = other.info.get(MOMENT), other.info.get(POLICY)
    if taken is not None and policy is not None:
        session.info[MOMENT], session.info[POLICY] = taken, (session.begin(), *policy[1:])


def offset_for(as_of: date) -> int:
    """Days between the real date and `as_of`; the time of day stays."""
    return (as_of - datetime.now(UTC).date()).days


def seconds_to(hour: int) -> int:
    """From the machine's time of day (UTC) to an hour of the same day, negative after it."""
    here = datetime.now(UTC)
    return hour * 3600 - (here.hour * 3600 + here.minute * 60 + here.second)


def of_the_machine() -> datetime:
    """What the machine's own clock says, whatever the installation's is: when somebody ran an evaluation."""
    return datetime.now(UTC)
