"""What an installation holds and when its parts were last heard of: what an operator asks on the first day, and at any later one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

COUNTS = {
    "customers": "SELECT count(*) FROM customer",
    "items": "SELECT count(*) FROM item",
    "orders": "SELECT count(*) FROM sales_order",
    "messages": "SELECT count(*) FROM message WHERE direction = 'in'",
    "cases": "SELECT count(*) FROM case_file",
    "colleagues": "SELECT count(*) FROM app_user WHERE active",
    "models": "SELECT count(DISTINCT name) FROM model_use WHERE version IS NOT NULL",
}
LAST = {
    "mail_at": "SELECT max(received_at) FROM message WHERE direction = 'in'",
    "agent_at": "SELECT max(recorded_at) FROM finding",
    "sealed_at": "SELECT max(sealed_at) FROM seal",
}


@dataclass(frozen=True)
class State:
    """How much there is of everything, and when mail came, the agent worked and the journal was sealed last."""

    customers: int
    items: int
    orders: int
    messages: int
    cases: int
    colleagues: int
    models: int
    mail_at: datetime | None
    agent_at: datetime | None
    sealed_at: datetime | None


def state(session: Session) -> State:
    """Counted now."""
    found: dict[str, Any] = {name: session.scalar(text(query)) or 0 for name, query in COUNTS.items()}
    return State(**found, **{name: session.scalar(text(query)) for name, query in LAST.items()})


def is_new(session: Session) -> bool:
    """Nothing was brought in yet."""
    return not session.scalar(text("SELECT EXISTS (SELECT FROM customer)"))
