"""Price anomaly: is a line's price out of line with what this customer paid for the item, then its segment, then everybody, then the list?

There are no labels to learn from, so errors are planted in the firm's own past: a share of lines gets its price multiplied, and the
model learns to tell them from the rest by the same facts that it is asked with.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ml.asof import Array, Known, Names
from ml.boosted import Boosted
from ml.history import Table

FACTORS = (10.0, 0.1, 2.0, 0.5, 1.3, 0.7, 1.2, 0.8)
FEATURES = (
    "to_own_last", "to_own_mean", "to_list", "to_item_last", "to_item_mean", "to_band_last", "own_same", "item_same", "band_same",
    "own_lines", "item_lines", "item_spread", "own_spread", "to_own_discount", "own_discounts",
)  # fmt: skip


class Past:
    """What was paid for which item by whom, and at which exact prices."""

    def __init__(self, lines: Table) -> None:
        logs = np.log(lines["price"])
        own, item, band, exact = _keys(lines, lines["price"])
        self.names = [Names(column) for column in (*own, item, band, *exact)]
        keys = [names.of(column) for names, column in zip(self.names, (*own, item, band, *exact), strict=True)]
        at = lines["at"]
        self.own, self.item, self.band = Known(keys[0], at, logs), Known(keys[1], at, logs), Known(keys[2], at, logs)
        self.same = [Known(key, at) for key in keys[3:]]
        self.customers = Names(lines["customer"])
        self.discounts = Known(self.customers.of(lines["customer"]), at, logs - np.log(_listed(lines)))

    def ask(self, lines: Table, price: Array) -> Array:
        """float64 (lines, FEATURES) for `price` (lines,) as of each line's moment."""
        own, item, band, exact = _keys(lines, price)
        keys = [names.of(column) for names, column in zip(self.names, (*own, item, band, *exact), strict=True)]
        at, log = lines["at"], np.log(price)
        off = log - np.log(_listed(lines))
        who = self.customers.of(lines["customer"])
        counted = [same.count(key, at, 120) for same, key in zip(self.same, keys[3:], strict=True)]
        columns = {
            "to_own_last": np.where(self.own.since(keys[0], at) <= 365, log - self.own.last(keys[0], at), np.nan),
            "to_own_mean": log - self.own.mean(keys[0], at, 365),
            "to_list": off,
            "to_item_last": np.where(self.item.since(keys[1], at) <= 120, log - self.item.last(keys[1], at), np.nan),
            "to_item_mean": log - self.item.mean(keys[1], at, 60),
            "to_band_last": np.where(self.band.since(keys[2], at) <= 120, log - self.band.last(keys[2], at), np.nan),
            "own_same": counted[0],
            "item_same": counted[1],
            "band_same": counted[2],
            "own_lines": self.own.count(keys[0], at, 365),
            "item_lines": self.item.count(keys[1], at, 120),
            "item_spread": self.item.deviation(keys[1], at, 60),
            "own_spread": self.own.deviation(keys[0], at, 365),
            "to_own_discount": off - self.discounts.mean(who, at, 365),
            "own_discounts": self.discounts.deviation(who, at, 365),
        }
        return np.stack([columns[name] for name in FEATURES], axis=1)


def _listed(lines: Table) -> Array:
    return np.where(lines["list_price"] > 0, lines["list_price"], np.nan)


def _keys(lines: Table, price: Array) -> tuple[list[Array], Array, Array, list[Array]]:
    """(customer and item, item, item and quantity band, each with the exact price)."""
    own = _joined(lines["customer"], lines["sku"])
    band = _joined(lines["sku"], np.floor(np.log2(np.maximum(lines["quantity"], 1))).astype(int))
    shown = np.round(price, 2)
    exact = [_joined(own, shown), _joined(lines["sku"], shown), _joined(band, shown)]
    return [own], lines["sku"], band, exact


def _joined(*columns: Array) -> Array:
    return np.array(["|".join(map(str, row)) for row in zip(*(c.tolist() for c in columns), strict=True)], dtype=object)


def planted(lines: Table, share: float, seed: int) -> tuple[Array, Array]:
    """(price, wrong), each (lines,): a share of prices multiplied by one of FACTORS."""
    chance = np.random.default_rng(seed)
    wrong = chance.random(len(lines["price"])) < share
    price = np.where(wrong, lines["price"] * chance.choice(FACTORS, len(wrong)), lines["price"])
    return np.maximum(np.round(price, 4), 0.0001), wrong.astype(float)


def fit(lines: Table, until: float, seed: int = 1) -> Boosted:
    """Learn from lines (in the order of time) before `until`; the first third only fills the past. Raises NotEnoughData."""
    past = Past(lines)
    price, wrong = planted(lines, 0.1, seed)
    used = np.flatnonzero(lines["at"] < until)
    used = used[len(used) // 3 :]
    matrix = past.ask({name: column[used] for name, column in lines.items()}, price[used])
    return Boosted.fit(matrix, wrong[used], FEATURES, num_leaves=31)


def baseline(past: Past, lines: Table, price: Array) -> Array:
    """The rule to beat: how far from what the customer paid last, or from the list."""
    asked = past.ask(lines, price)
    own, listed = np.abs(asked[:, 0]), np.abs(asked[:, 2])
    return np.nan_to_num(np.where(np.isnan(own), listed, own), nan=0.0)


WORDS: dict[str, Any] = {
    "to_own_last": lambda x: f"{_away(x)} what this customer paid last",
    "to_own_mean": lambda x: f"{_away(x)} what this customer paid on average in a year",
    "to_list": lambda x: f"{_away(x)} the list price",
    "to_item_last": lambda x: f"{_away(x)} what the last customer paid",
    "to_item_mean": lambda x: f"{_away(x)} what all customers paid in 60 days",
    "to_band_last": lambda x: f"{_away(x)} what such quantities cost last",
    "own_same": lambda x: f"this customer paid exactly this {x:.0f} times in 120 days",
    "item_same": lambda x: f"{x:.0f} lines had exactly this price in 120 days",
    "band_same": lambda x: f"{x:.0f} lines of such a quantity had exactly this price in 120 days",
    "own_lines": lambda x: f"this customer bought it {x:.0f} times",
    "item_lines": lambda x: f"it was sold {x:.0f} times in 120 days",
    "item_spread": lambda x: f"its prices vary by {x:.0%}",
    "own_spread": lambda x: f"this customer's prices of it vary by {x:.0%}",
    "to_own_discount": lambda x: f"{_away(x)} the list price less what this customer usually gets off",
    "own_discounts": lambda x: f"what this customer gets off the list varies by {x:.0%}",
}


def _away(x: float) -> str:
    by = np.exp(x) - 1
    return f"{by:.0%} above" if by > 0.005 else f"{-by:.0%} below" if by < -0.005 else "the same as"
