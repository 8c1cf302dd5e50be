"""Days on which people work."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from erp_core import policy
from erp_core.rules.queues import worked_from

POLICY = policy.shipped()


@pytest.mark.parametrize(
    ("moment", "worked"),
    [
        ("2026-06-17T15:00", "2026-06-17T15:00"),  # a Wednesday
        ("2026-06-20T15:00", "2026-06-22T15:00"),  # a Saturday
        ("2026-07-03T15:00", "2026-07-06T15:00"),  # Independence Day, observed on a Friday
        ("2026-06-20T02:00", "2026-06-20T02:00"),  # still Friday evening where the firm works
    ],
)
def test_what_waits_waits_until_a_day_on_which_the_firm_works(moment: str, worked: str) -> None:
    found = worked_from(POLICY.calendars["us"], datetime.fromisoformat(moment).replace(tzinfo=UTC))
    assert found == datetime.fromisoformat(worked).replace(tzinfo=UTC)
