"""Drift: how far a spread of values has moved from another over the same bins."""

from __future__ import annotations

from collections.abc import Sequence
from math import log

LEAST_SHARE = 1e-3  # an empty bin counts as this much, or a single value would be infinitely far


def stability(was: Sequence[float], now: Sequence[float]) -> float:
    """Population stability index of two lists of shares, 0 when they are alike; above 0.25 is a lot. Raises ValueError for other bins."""
    pairs = [(max(a, LEAST_SHARE), max(b, LEAST_SHARE)) for a, b in zip(was, now, strict=True)]
    return sum((b - a) * log(b / a) for a, b in pairs)
