"""Duplicate orders: is this the same order once more? Pairs of one customer's orders within two days, compared by what is in them.

Blocking keeps it cheap: only orders of the same customer (or, where none is named, that share a rare item) close in time are compared. There
are no labels to learn from, so duplicates are planted in the firm's own past in the ways they happen: sent twice, sent again the next day,
one line changed, a quantity changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from rapidfuzz.fuzz import ratio

from ml.asof import DAY, Array
from ml.boosted import Boosted
from ml.history import Table

WITHIN = 2 * DAY
FEATURES = (
    "hours", "lines", "lines_other", "overlap", "overlap_exact", "rare_overlap", "rare_shared", "quantity_ratio", "changed", "missing",
    "same_po", "po_likeness", "usual_overlap", "named",
)  # fmt: skip
# what is more alike is never less of a duplicate
TREND = (0, 0, 0, 1, 1, 1, 1, 1, -1, -1, 1, 1, -1, 0)
KINDS = ("exact", "later", "line_changed", "quantity_changed")


@dataclass(frozen=True)
class Basket:
    """An order as pairs see it: `goods` maps item to quantity."""

    number: str
    customer: str
    at: float
    goods: dict[str, float]
    value: float
    po: str = ""


def baskets(lines: Table, po: dict[str, str] | None = None) -> list[Basket]:
    """Orders from their lines, in the order of time."""
    goods: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    value: dict[str, float] = defaultdict(float)
    first: dict[str, tuple[str, float]] = {}
    names = ("order", "customer", "sku", "at", "quantity", "price")
    for order, customer, sku, at, quantity, price in zip(*(lines[name].tolist() for name in names), strict=True):
        goods[order][sku] += quantity
        value[order] += quantity * price
        first.setdefault(order, (customer, at))
    made = [Basket(n, *first[n], dict(g), value[n], (po or {}).get(n, "")) for n, g in goods.items()]
    return sorted(made, key=lambda basket: (basket.at, basket.number))


class Rarity:
    """How telling a shared item is: few orders hold it."""

    def __init__(self, past: Iterable[Basket]) -> None:
        seen: dict[str, int] = defaultdict(int)
        self.orders = 0
        for basket in past:
            self.orders += 1
            for sku in basket.goods:
                seen[sku] += 1
        self._weight = {sku: float(np.log((self.orders + 1) / (n + 0.5))) for sku, n in seen.items()}
        self._new = float(np.log(self.orders + 2))

    def of(self, skus: Iterable[str]) -> float:
        """Sum of the weights of items."""
        return sum(self._weight.get(sku, self._new) for sku in skus)


def pairs(orders: list[Basket], since: float = 0.0) -> Iterator[tuple[Basket, Basket]]:
    """(earlier, later) candidates, the later one from `since` on."""
    own: dict[str, list[Basket]] = defaultdict(list)
    loose: dict[str, list[Basket]] = defaultdict(list)
    for basket in orders:
        if basket.customer:
            recent = own[basket.customer] = [x for x in own[basket.customer] if x.at >= basket.at - WITHIN]
            others = {x.number: x for x in recent}
            recent.append(basket)
        else:
            shared: dict[str, int] = defaultdict(int)
            others = {}
            for sku in basket.goods:
                near = loose[sku] = [x for x in loose[sku] if x.at >= basket.at - WITHIN]
                for other in near:
                    shared[other.number] += 1
                    others[other.number] = other
                near.append(basket)
            # two strangers' orders share an item now and then; half of one of them they share only when it is one
            least = {n: max(1, 0.5 * min(len(basket.goods), len(x.goods))) for n, x in others.items()}
            others = {n: x for n, x in others.items() if shared[n] >= least[n]}
        if basket.at >= since:
            yield from ((other, basket) for other in others.values())


def usual(orders: list[Basket]) -> dict[str, float]:
    """Overlap of a customer's successive orders by customer: some always order the same."""
    last: dict[str, Basket] = {}
    found: dict[str, list[float]] = defaultdict(list)
    for basket in orders:
        if basket.customer and basket.customer in last:
            found[basket.customer].append(_overlap(last[basket.customer].goods, basket.goods))
        last[basket.customer] = basket
    return {customer: float(np.mean(values)) for customer, values in found.items()}


def ask(found: list[tuple[Basket, Basket]], rarity: Rarity, habits: dict[str, float]) -> Array:
    """float64 (pairs, FEATURES)."""
    rows = np.empty((len(found), len(FEATURES)))
    for row, (one, two) in enumerate(found):
        both, either = one.goods.keys() & two.goods.keys(), one.goods.keys() | two.goods.keys()
        exact = [sku for sku in both if one.goods[sku] == two.goods[sku]]
        rows[row] = (
            (two.at - one.at) / 3600,
            len(two.goods),
            len(one.goods),
            len(both) / len(either),
            len(exact) / len(either),
            rarity.of(both) / max(rarity.of(either), 1e-9),
            rarity.of(exact),
            float(np.median([_ratio(one.goods[sku], two.goods[sku]) for sku in both])) if both else 0.0,
            len(both) - len(exact),
            len(either) - len(both),
            float(bool(one.po) and one.po.lower() == two.po.lower()),
            ratio(one.po, two.po) / 100 if one.po and two.po else np.nan,
            habits.get(two.customer, np.nan),
            float(bool(two.customer)),
        )
    return rows


def planted(orders: list[Basket], share: float, seed: int) -> tuple[list[Basket], dict[str, str]]:
    """The orders with some of them once more, and which copies which."""
    chance = np.random.default_rng(seed)
    made, copies = [], {}
    for number in np.flatnonzero(chance.random(len(orders)) < share):
        one = orders[number]
        goods, kind = dict(one.goods), KINDS[int(chance.integers(len(KINDS)))]
        hours = {"exact": 0.1, "later": 30.0, "line_changed": 8.0, "quantity_changed": 20.0}[kind] * chance.random()
        sku = list(goods)[int(chance.integers(len(goods)))]
        if kind == "line_changed" and len(goods) > 1:
            del goods[sku]
        elif kind in ("quantity_changed", "line_changed"):
            goods[sku] = goods[sku] + float(chance.integers(1, 12))
        value = one.value * sum(goods.values()) / max(sum(one.goods.values()), 1e-9)
        po = one.po if chance.random() < 0.5 else ""
        copy = Basket(f"{one.number}~", one.customer, one.at + max(hours, 0.01) * 3600, goods, value, po)
        made.append(copy)
        copies[copy.number] = one.number
    return sorted([*orders, *made], key=lambda basket: (basket.at, basket.number)), copies


def fit(lines: Table, until: float, seed: int = 1) -> Boosted:
    """Learn from orders before `until`. Raises NotEnoughData."""
    own = [basket for basket in baskets(lines) if basket.at < until]
    together, copies = planted(own, 0.15, seed)
    found = list(pairs(together))
    asked = np.array(
        [float(copies.get(two.number) == one.number or copies.get(one.number) == two.number) for one, two in found]
    )
    return Boosted.fit(
        ask(found, Rarity(own), usual(own)),
        asked,
        FEATURES,
        monotone_constraints=list(TREND),
        num_leaves=15,
        learning_rate=0.04,
    )


def baseline(matrix: Array) -> Array:
    """The rule to beat: share of exactly equal lines."""
    return matrix[:, FEATURES.index("overlap_exact")]


def _ratio(one: float, two: float) -> float:
    return min(one, two) / max(one, two, 1e-9)


def _overlap(one: dict[str, float], two: dict[str, float]) -> float:
    return len(one.keys() & two.keys()) / max(len(one.keys() | two.keys()), 1)


WORDS: dict[str, Any] = {
    "hours": lambda x: f"{x:.1f} hours apart",
    "overlap": lambda x: f"{x:.0%} of the items are the same",
    "overlap_exact": lambda x: f"{x:.0%} of the lines are the same to the quantity",
    "rare_overlap": lambda x: f"{x:.0%} of what is telling in them is the same",
    "rare_shared": lambda x: (
        "they share items that few orders hold" if x > 8 else "they share items that many orders hold"
    ),
    "quantity_ratio": lambda x: f"quantities of the same items agree to {x:.0%}",
    "changed": lambda x: f"{x:.0f} quantities differ",
    "missing": lambda x: f"{x:.0f} items are in one of them only",
    "same_po": lambda x: "the PO number is the same" if x else "the PO number differs",
    "po_likeness": lambda x: f"the PO numbers are {x:.0%} alike",
    "usual_overlap": lambda x: f"this customer's orders usually share {x:.0%}",
    "lines": lambda x: f"{x:.0f} items",
    "lines_other": lambda x: f"{x:.0f} items in the earlier one",
    "named": lambda x: "of one customer",
}
