"""What was known when: the one door through which a feature looks into the past.

Every fact carries the moment it became known. A question is asked as of a moment and sees what was known strictly before it, so that no
feature can see what came later, in training as in use.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any  # numpy arrays; shapes stand in the docstrings
DAY = 86400.0
_SPAN = np.int64(2**36)  # more seconds than since 1970


class Names:
    """Numbers for names: equal names, equal numbers, in everything that is asked with them."""

    def __init__(self, *columns: Array) -> None:
        self._number: dict[Any, int] = {}
        for column in columns:
            for name in column:
                self._number.setdefault(name, len(self._number))

    def of(self, column: Array) -> Array:
        """int64 (n,); a name never seen gets a number of its own that no fact has."""
        unknown = len(self._number)
        return np.fromiter((self._number.get(name, unknown) for name in column), dtype=np.int64, count=len(column))


class Known:
    """Facts `value` (n,) about `key` (n,) known from `at` (n,) seconds on. NaN values count as facts without a value."""

    def __init__(self, key: Array, at: Array, value: Array | None = None) -> None:
        at = np.asarray(at, dtype=np.float64)
        kept = ~np.isnan(at)
        place = np.asarray(key, dtype=np.int64)[kept] * _SPAN + np.floor(at[kept]).astype(np.int64)
        order = np.argsort(place, kind="stable")
        self._place = place[order]
        values = np.ones(len(place)) if value is None else np.asarray(value, dtype=np.float64)[kept]
        values = values[order]
        self._values = values
        self._sum = np.concatenate([[0.0], np.cumsum(np.nan_to_num(values))])
        self._square = np.concatenate([[0.0], np.cumsum(np.nan_to_num(values) ** 2)])

    def _window(self, key: Array, at: Array, days: float | None) -> tuple[Array, Array]:
        base = np.asarray(key, dtype=np.int64) * _SPAN
        moment = np.floor(np.asarray(at, dtype=np.float64)).astype(np.int64)
        end = np.searchsorted(self._place, base + moment, side="left")
        since = base if days is None else base + np.maximum(moment - np.int64(days * DAY), 0)
        return np.searchsorted(self._place, since, side="left"), end

    def count(self, key: Array, at: Array, days: float | None = None) -> Array:
        """float64 (m,): facts known before `at`, of the last `days` if given."""
        start, end = self._window(key, at, days)
        return (end - start).astype(np.float64)

    def total(self, key: Array, at: Array, days: float | None = None) -> Array:
        """float64 (m,): their sum."""
        start, end = self._window(key, at, days)
        return self._sum[end] - self._sum[start]

    def share(self, key: Array, at: Array, days: float | None, prior: float | Array, weight: float = 5.0) -> Array:
        """float64 (m,): their mean, leaning on `prior` until there are facts enough."""
        start, end = self._window(key, at, days)
        return rate(self._sum[end] - self._sum[start], (end - start).astype(np.float64), prior, weight)

    def mean(self, key: Array, at: Array, days: float | None = None) -> Array:
        """float64 (m,): their mean, NaN without any."""
        start, end = self._window(key, at, days)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(end > start, (self._sum[end] - self._sum[start]) / (end - start), np.nan)

    def deviation(self, key: Array, at: Array, days: float | None = None) -> Array:
        """float64 (m,): their standard deviation, NaN with fewer than two."""
        start, end = self._window(key, at, days)
        number = np.maximum(end - start, 1)
        mean = (self._sum[end] - self._sum[start]) / number
        square = (self._square[end] - self._square[start]) / number
        return np.where(end - start > 1, np.sqrt(np.maximum(square - mean**2, 0)), np.nan)

    def last(self, key: Array, at: Array) -> Array:
        """float64 (m,): the newest value, NaN without any."""
        start, end = self._window(key, at, None)
        if not len(self._values):
            return np.full(len(end), np.nan)
        return np.where(end > start, self._values[np.maximum(end - 1, 0)], np.nan)

    def since(self, key: Array, at: Array) -> Array:
        """float64 (m,): days since the newest fact, NaN without any."""
        start, end = self._window(key, at, None)
        if not len(self._place):
            return np.full(len(end), np.nan)
        newest = self._place[np.maximum(end - 1, 0)] % _SPAN
        return np.where(end > start, (np.asarray(at) - newest) / DAY, np.nan)


def recent_only(days: Array) -> Array:
    """float64 (m,): days since something, unknown after a year: what is read for one order goes no further back."""
    return np.where(days <= 365, days, np.nan)


def rate(part: Array, whole: Array, prior: float | Array, weight: float = 5.0) -> Array:
    """float64 (m,): a share that leans on `prior` until there are facts enough."""
    return (part + prior * weight) / (whole + weight)


def weekday(at: Array) -> Array:
    """float64 (m,): 0 on a Monday (UTC)."""
    return (np.floor(at / DAY) + 3) % 7


def hour(at: Array) -> Array:
    """float64 (m,): the hour of the day (UTC)."""
    return np.floor((at - np.floor(at / DAY) * DAY) / 3600)
