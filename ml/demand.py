"""Demand of an item in a warehouse over the next 28 days, with an interval; and how many cases a queue gets each hour of a day."""

from __future__ import annotations

from typing import Any

import numpy as np

from ml import measures
from ml.asof import DAY, Array, Known, Names
from ml.boosted import NotEnoughData, Quantiles, quantiles
from ml.history import History, Table
from ml.stockout import place

AHEAD = 28
LEVELS = (0.1, 0.5, 0.9)
FEATURES = (
    "wanted_7",
    "wanted_28",
    "wanted_90",
    "wanted_year_ago",
    "lines_28",
    "unevenness",
    "growth",
    "month",
    "days_since",
)


def features(known: Known, key: Array, at: Array) -> Array:
    """float64 (n, FEATURES): demand is told in multiples of the quarter's, so that small and large items teach each other."""
    daily = {days: known.total(key, at, days) / days for days in (7.0, 28.0, 90.0)}
    base = np.maximum(daily[90.0], 0.01)
    year = (known.total(key, at - (365 - AHEAD) * DAY, AHEAD)) / AHEAD
    month = ((at / DAY) % 365) // 30
    columns = [
        daily[7.0] / base, daily[28.0] / base, daily[90.0], np.where(year > 0, year / base, np.nan), known.count(key, at, 28),
        known.deviation(key, at, 90) / base, daily[28.0] / base - daily[7.0] / base, month, known.since(key, at),
    ]  # fmt: skip
    return np.stack(columns, axis=1)


def train(history: History) -> tuple[dict[str, Any], dict[str, Any]]:
    """The regressions as plain values, and figures on the newest quarter. Raises NotEnoughData."""
    lines = history["order_lines"]
    if not len(lines["at"]):
        raise NotEnoughData("There are no orders yet.")
    names = Names(place(lines))
    known = Known(names.of(place(lines)), lines["at"], lines["quantity"])
    keys, count = np.unique(names.of(place(lines)), return_counts=True)
    keys = keys[count >= 8]
    first, last = lines["at"].min() + 90 * DAY, history.now - AHEAD * DAY
    moments = np.arange(first, last, 7 * DAY)
    if len(moments) < 8 or len(keys) < 5:
        raise NotEnoughData("Demand needs half a year of orders of at least five items that sell.")
    at, key = np.repeat(moments, len(keys)), np.tile(keys, len(moments))
    base = np.maximum(known.total(key, at, 90.0) / 90, 0.01)
    came = known.total(key, at + AHEAD * DAY, AHEAD) / AHEAD
    matrix = features(known, key, at)
    cut = float(np.quantile(at, 0.75))
    # what an older row was followed by must itself be over when the newer ones begin
    older, newer = at < cut - AHEAD * DAY, at >= cut
    made = quantiles(matrix[older], (came / base)[older], FEATURES, LEVELS)
    said = Quantiles(made).predict(matrix[newer]) * base[newer][:, None]
    return made, _figures(came[newer], said, known.total(key, at, 28.0)[newer] / 28, cut)


def _gain(came: Array, said: Array, naive: Array) -> float:
    """How much less it is off than the rule, in shares of what came."""
    return float((np.abs(came - naive).sum() - np.abs(came - said).sum()) / max(came.sum(), 1e-9))


def outcomes(model: Quantiles, history: History, since: float) -> tuple[Array, Array]:
    """(came, said), a day, of every item that sells, week by week from `since` on."""
    came, said, _ = _asked(model, history, since)
    return came, said[:, 1]


def measured(model: Quantiles, history: History, since: float) -> dict[str, Any]:
    """The figures of a model on what came from `since` on."""
    came, said, naive = _asked(model, history, since)
    return _figures(came, said, naive, since)


def _asked(model: Quantiles, history: History, since: float) -> tuple[Array, Array, Array]:
    lines = history["order_lines"]
    names = Names(place(lines))
    known = Known(names.of(place(lines)), lines["at"], lines["quantity"])
    keys, count = np.unique(names.of(place(lines)), return_counts=True)
    moments = np.arange(since, history.now - AHEAD * DAY, 7 * DAY)
    at, key = np.repeat(moments, (count >= 8).sum()), np.tile(keys[count >= 8], len(moments))
    base = np.maximum(known.total(key, at, 90.0) / 90, 0.01)
    came = known.total(key, at + AHEAD * DAY, AHEAD) / AHEAD
    naive = known.total(key, at, 28.0) / 28
    said = model.predict(features(known, key, at)) * base[:, None] if len(at) else np.empty((0, len(LEVELS)))
    return came, said, naive


def _figures(came: Array, said: Array, naive: Array, cut: float) -> dict[str, Any]:
    inside = (came >= said[:, 0]) & (came <= said[:, 2])
    total = max(float(came.sum()), 1e-9)
    return {
        "since": cut,
        "examples": len(came),
        "error": float(np.abs(came - said[:, 1]).sum()) / total,
        "baseline_error": float(np.abs(came - naive).sum()) / total,
        "gain_interval": measures.interval(_gain, came, said[:, 1], naive),
        "inside": float(inside.mean()),
        "rule": "the next four weeks are like the last four",
    }


def predict(model: Quantiles, known: Known, key: Array, now: float) -> Array:
    """float64 (n, 3): low, middle and high demand of the next 28 days."""
    at = np.full(len(key), now)
    base = np.maximum(known.total(key, at, 90.0) / 90, 0.01)
    return np.maximum(model.predict(features(known, key, at)), 0) * base[:, None] * AHEAD


class QueueLoad:
    """Cases an hour by queue, weekday and hour: a mean of recent weeks leaning on the queue's own, scaled by how the last days went."""

    WEEKS = 8

    def __init__(self, cases: Table, now: float, weeks: int = WEEKS) -> None:
        self.now, self.weeks = now, weeks
        self.queues = sorted(set(cases["queue"].tolist()))
        names = Names(np.array(self.queues, dtype=object))
        self._names = names
        key = names.of(cases["queue"])
        hour_of_week = ((cases["at"] // 3600) % 168).astype(np.int64)
        self._hours = Known(key * 168 + hour_of_week, cases["at"])
        self._all = Known(key, cases["at"])

    def expected(self, queue: str, hours: Array) -> Array:
        """float64 (hours,): cases in each hour that begins at `hours` (seconds), as far as known now."""
        key = self._names.of(np.array([queue] * len(hours), dtype=object))
        slot = key * 168 + ((hours // 3600) % 168).astype(np.int64)
        now = np.full(len(hours), self.now)
        days = self.weeks * 7.0
        seen = (self._hours.count(slot, now, days) + 0.2) / self.weeks
        recent, usual = self._all.count(key, now, 7.0), self._all.count(key, now, days) / self.weeks
        return seen * np.clip((recent + 5) / (usual + 5), 0.6, 1.7)


def queue_figures(cases: Table, now: float, remembers: int = QueueLoad.WEEKS, weeks: int = 4) -> dict[str, Any]:
    """Mean error by the hour of the last weeks, each day told from what was known at its start, beside the queue's plain mean."""
    if not len(cases["at"]) or cases["at"].min() > now - (weeks + remembers) * 7 * DAY:
        raise NotEnoughData("Queue load needs twelve weeks of cases.")
    off, plain, total = (np.zeros(weeks * 7) for _ in range(3))
    for day in range(weeks * 7):
        start = np.floor(now / DAY) * DAY - (day + 1) * DAY
        load = QueueLoad({name: column[cases["at"] < start] for name, column in cases.items()}, start, remembers)
        hours = start + np.arange(24) * 3600.0
        within = (cases["at"] >= start) & (cases["at"] < start + DAY)
        for queue in load.queues:
            mine = cases["at"][within & (cases["queue"] == queue)]
            came = np.bincount(((mine - start) // 3600).astype(int), minlength=24)
            said = load.expected(queue, hours)
            off[day] += np.abs(came - said).sum()
            plain[day] += np.abs(came - said.sum() / 24).sum()
            total[day] += came.sum()

    def gain(a: Array, b: Array) -> float:
        return float((b.sum() - a.sum()) / max(b.sum(), 1e-9))

    return {
        "since": now - weeks * 7 * DAY,
        "examples": int(total.sum()),
        "error": float(off.sum() / max(total.sum(), 1)),
        "baseline_error": float(plain.sum() / max(total.sum(), 1)),
        "gain_interval": measures.interval(gain, off, plain),
        "rule": "the day's cases spread evenly over its hours",
    }
