"""Stockout: will the shelf of an item in a warehouse be empty within 7 or 14 days?"""

from __future__ import annotations

import numpy as np

from ml.asof import DAY, Array, Known, Names, weekday
from ml.history import History, Table, take
from ml.recipe import Heads, Recipe

FEATURES = (
    "cover_7", "cover_28", "cover_with_inbound", "on_hand", "inbound", "wanted_7", "wanted_28", "wanted_90", "unevenness", "largest",
    "growth", "days_since_empty", "empty_days", "weekday",
)  # fmt: skip
WITHIN = (7, 14)


class Past:
    """What was asked for of each item in each warehouse, and when its shelf was empty."""

    def __init__(self, history: History) -> None:
        lines, levels = history["order_lines"], history["levels"]
        self.names = Names(place(levels))
        key = self.names.of(place(lines))
        self.wanted = Known(key, lines["at"], lines["quantity"])
        shelf = self.names.of(place(levels))
        empty = levels["on_hand"] <= 0
        self.empty = Known(shelf[empty], levels["at"][empty])


def place(rows: Table) -> Array:
    """Warehouse and item as one key."""
    return np.array(
        [f"{w}|{s}" for w, s in zip(rows["warehouse"].tolist(), rows["sku"].tolist(), strict=True)], dtype=object
    )


def features(past: Past, rows: Table) -> Array:
    """float64 (rows, FEATURES), as of the evening of each row's day."""
    key, at = past.names.of(place(rows)), rows["at"]
    week, month, quarter = (past.wanted.total(key, at, days) / days for days in (7.0, 28.0, 90.0))

    def cover(stock: Array, daily: Array) -> Array:
        return np.minimum(stock / np.maximum(daily, 1e-3), 365.0)

    columns = {
        "cover_7": cover(rows["on_hand"], week),
        "cover_28": cover(rows["on_hand"], month),
        "cover_with_inbound": cover(rows["on_hand"] + rows["inbound"], month),
        "on_hand": rows["on_hand"],
        "inbound": rows["inbound"],
        "wanted_7": week,
        "wanted_28": month,
        "wanted_90": quarter,
        "unevenness": past.wanted.deviation(key, at, 90),
        "largest": past.wanted.mean(key, at, 28),
        "growth": week / np.maximum(quarter, 1e-3),
        "days_since_empty": past.empty.since(key, at),
        "empty_days": past.empty.count(key, at, 180),
        "weekday": weekday(at),
    }
    return np.stack([columns[name] for name in FEATURES], axis=1)


def subjects(history: History) -> Table:
    """Shelves that are not empty, once a week, so that neighbouring days do not count the same stockout again and again."""
    levels = history["levels"]
    weekly = (np.floor(levels["at"] / DAY).astype(int) % 7 == 0) & (levels["on_hand"] > 0)
    return take(levels, np.flatnonzero(weekly)[np.argsort(levels["at"][weekly], kind="stable")])


def labels(history: History) -> Heads:
    """Empty on any evening of the days ahead."""
    rows, levels = subjects(history), history["levels"]
    names = Names(place(levels))
    empty = levels["on_hand"] <= 0
    known = Known(names.of(place(levels))[empty], levels["at"][empty])
    key, end = names.of(place(rows)), levels["at"].max() if len(levels["at"]) else 0.0
    found = {}
    for days in WITHIN:
        later = rows["at"] + days * DAY + 1
        found[f"within_{days}"] = (later <= end + 2, (known.count(key, later, days) > 0).astype(float))
    return found


def baseline(past: Past, rows: Table) -> Array:
    """The rule of thumb: few days of demand on the shelf."""
    return -features(past, rows)[:, FEATURES.index("cover_28")]


WORDS = {
    "cover_7": lambda x: f"the shelf lasts {x:.0f} days at last week's demand",
    "cover_28": lambda x: f"the shelf lasts {x:.0f} days at four weeks' demand",
    "cover_with_inbound": lambda x: f"with what is coming it lasts {x:.0f} days",
    "on_hand": lambda x: f"{x:,.0f} are on hand",
    "inbound": lambda x: f"{x:,.0f} are on their way" if x else "nothing is on its way",
    "wanted_7": lambda x: f"{x:,.1f} a day were wanted last week",
    "wanted_28": lambda x: f"{x:,.1f} a day were wanted in four weeks",
    "wanted_90": lambda x: f"{x:,.1f} a day were wanted in a quarter",
    "unevenness": lambda x: f"order lines vary by {x:,.0f}",
    "largest": lambda x: f"a line asks for {x:,.0f}",
    "growth": lambda x: f"last week's demand was {x:.1f}× the quarter's",
    "days_since_empty": lambda x: f"it was empty {x:.0f} days ago",
    "empty_days": lambda x: f"it was empty on {x:.0f} evenings of half a year",
    "weekday": lambda x: "the week ahead",
}

RECIPE = Recipe(
    name="stockout",
    title="Stockout",
    about="levels",
    features=FEATURES,
    past=Past,
    compute=features,
    labels=labels,
    main="within_7",
    baseline=baseline,
    rule="days of demand on the shelf",
    words=WORDS,
    subjects=subjects,
    slices=("warehouse", "category"),
)
