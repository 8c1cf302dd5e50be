"""The books are right, or the test fails with the rule that does not hold."""

from __future__ import annotations

from erp_core import policy
from erp_core.db import Session
from erp_core.queries import books


def books_are_right(session: Session) -> None:
    """Raise AssertionError naming the rules of the books that do not hold."""
    session.flush()
    assert books.wrong(session, policy.shipped()) == []
