"""Duplicate orders: is this the same order once more? Orders of one customer within two days, and of other accounts for much the same goods.

Blocking keeps it cheap: only orders of the same customer close in time are compared (or, where none is named, that share a rare item); of
other accounts only the nearest by what they hold. There are no labels to learn from, so duplicates are planted in the firm's own past in
the ways they happen: sent twice, sent again the next day, one line changed, a quantity changed, under another account.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from rapidfuzz.fuzz import ratio

from ml.asof import DAY, Array
from ml.boosted import Boosted
from ml.history import Table

WITHIN = 2 * DAY
FEATURES = (
    "hours", "lines", "lines_other", "overlap", "overlap_exact", "rare_overlap", "rare_shared", "quantity_ratio", "changed", "missing",
    "same_po", "po_likeness", "usual_overlap", "named", "other_account",
)  # fmt: skip
# what is more alike is never less of a duplicate
TREND = (0, 0, 0, 1, 1, 1, 1, 1, -1, -1, 1, 1, -1, 0, 0)
KINDS = ("exact", "later", "line_changed", "quantity_changed", "other_account")
ROUNDS, SHARE = 5, 0.1  # so often, so many orders are planted once more: one draw alone leaves much to its chance
NEWEST = 40_000  # orders that are learned from at most
PLACES = 256
NEAR = 0.35  # cosine distance of what two orders hold, within which another account's order is looked at
TELLING = 2  # items of an order, its rarest, by which another account's order is found


@dataclass(frozen=True)
class Basket:
    """An order as pairs see it: `goods` maps item to quantity."""

    number: str
    customer: str
    at: float
    goods: dict[str, float]
    po: str = ""


def baskets(lines: Table) -> list[Basket]:
    """Orders from their lines, in the order of time."""
    goods: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    first: dict[str, tuple[str, float, str]] = {}
    names = ("order", "customer", "sku", "at", "quantity", "po")
    for order, customer, sku, at, quantity, po in zip(*(lines[name].tolist() for name in names), strict=True):
        goods[order][sku] += quantity
        first.setdefault(order, (customer, at, po))
    made = [Basket(n, first[n][0], first[n][1], dict(g), first[n][2]) for n, g in goods.items()]
    return sorted(made, key=lambda basket: (basket.at, basket.number))


def vector(goods: Mapping[str, float]) -> list[float]:
    """What an order holds as a vector of unit length (256,), so that the database finds its neighbours: items hashed into places, with a sign."""
    placed = _placed(goods)
    return [round(placed.get(place, 0.0), 6) for place in range(PLACES)]


def _placed(goods: Mapping[str, float]) -> dict[int, float]:
    counts: dict[int, float] = defaultdict(float)
    for sku, quantity in goods.items():
        code = zlib.crc32(sku.encode())
        counts[code % PLACES] += (1 if code & 0x10000 else -1) * (1 + math.log1p(quantity))
    length = math.sqrt(sum(x * x for x in counts.values())) or 1.0
    return {place: x / length for place, x in counts.items()}


def _far(one: Mapping[str, float], two: Mapping[str, float]) -> float:
    """Cosine distance of the vectors."""
    mine, theirs = _placed(one), _placed(two)
    return 1 - sum(x * theirs.get(place, 0.0) for place, x in mine.items())


class Rarity:
    """How telling a shared item is: few of the orders hold it."""

    def __init__(self, orders: int, holders: Mapping[str, int]) -> None:
        self._weight = {sku: float(np.log((orders + 1) / (n + 0.5))) for sku, n in holders.items()}
        self._new = float(np.log(orders + 2))

    @classmethod
    def among(cls, past: Iterable[Basket]) -> Rarity:
        """Among these orders."""
        listed = list(past)
        return cls(len(listed), Counter(sku for basket in listed for sku in basket.goods))

    def of(self, skus: Iterable[str]) -> float:
        """Sum of the weights of items."""
        return sum(self._weight.get(sku, self._new) for sku in skus)

    def telling(self, skus: Iterable[str]) -> list[str]:
        """The rarest of them."""
        return sorted(skus, key=lambda sku: (-self._weight.get(sku, self._new), sku))[:TELLING]


def pairs(orders: list[Basket], since: float = 0.0) -> Iterator[tuple[Basket, Basket]]:
    """(earlier, later) candidates of one customer, or of nobody named, the later one from `since` on."""
    own: dict[str, list[Basket]] = defaultdict(list)
    loose: dict[str, list[Basket]] = defaultdict(list)
    for basket in orders:
        if basket.customer:
            recent = own[basket.customer] = [x for x in own[basket.customer] if x.at >= basket.at - WITHIN]
            others = {x.number: x for x in recent}
            recent.append(basket)
        else:
            others = _sharing(basket, basket.goods, loose)
        if basket.at >= since:
            yield from ((other, basket) for other in others.values())


def across(orders: list[Basket], rarity: Rarity) -> Iterator[tuple[Basket, Basket]]:
    """(earlier, later) candidates of two accounts: they share a telling item and are near in what they hold. In use the database finds the near ones."""
    loose: dict[str, list[Basket]] = defaultdict(list)
    for basket in orders:
        if not basket.customer:
            continue
        found = _sharing(basket, rarity.telling(basket.goods), loose)
        others = [x for x in found.values() if x.customer != basket.customer]
        yield from ((x, basket) for x in others if _far(basket.goods, x.goods) < NEAR)


def _sharing(basket: Basket, skus: Iterable[str], loose: dict[str, list[Basket]]) -> dict[str, Basket]:
    """Recent orders under these items, that the order is then put under too."""
    others = {}
    for sku in skus:
        near = loose[sku] = [x for x in loose[sku] if x.at >= basket.at - WITHIN]
        # two strangers' orders share an item now and then; half of one of them they share only when it is one
        for other in near:
            both = len(basket.goods.keys() & other.goods.keys())
            if both >= max(1, 0.5 * min(len(basket.goods), len(other.goods))):
                others[other.number] = other
        near.append(basket)
    return others


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
            median(_ratio(one.goods[sku], two.goods[sku]) for sku in both) if both else 0.0,
            len(both) - len(exact),
            len(either) - len(both),
            float(bool(one.po) and one.po.lower() == two.po.lower()),
            ratio(one.po, two.po) / 100 if one.po and two.po else np.nan,
            habits.get(two.customer, np.nan),
            float(bool(two.customer)),
            float(one.customer != two.customer),
        )
    return rows


def planted(orders: list[Basket], share: float, seed: int) -> tuple[list[Basket], dict[str, str]]:
    """The orders with some of them once more, and which copies which."""
    chance = np.random.default_rng(seed)
    accounts = sorted({basket.customer for basket in orders if basket.customer})
    made, copies = [], {}
    for number in np.flatnonzero(chance.random(len(orders)) < share):
        one = orders[number]
        kind = KINDS[int(chance.integers(len(KINDS) if one.customer and len(accounts) > 1 else len(KINDS) - 1))]
        hours = {"exact": 0.1, "later": 30.0, "line_changed": 8.0, "quantity_changed": 20.0, "other_account": 40.0}[
            kind
        ] * chance.random()
        customer = one.customer
        if kind == "other_account":
            customer = str(chance.choice(accounts))
        goods = _changed(one.goods, kind, chance)
        # the number is given again, given otherwise, or left out
        po = (one.po, one.po, f"{one.po}-{chance.integers(1, 9)}" if one.po else "", "")[int(chance.integers(4))]
        copy = Basket(f"{one.number}~", customer, one.at + max(hours, 0.01) * 3600, goods, po)
        made.append(copy)
        copies[copy.number] = one.number
    return sorted([*orders, *made], key=lambda basket: (basket.at, basket.number)), copies


def _changed(goods: Mapping[str, float], kind: str, chance: np.random.Generator) -> dict[str, float]:
    """The goods of a copy: a line less, a quantity otherwise, or as they were."""
    made = dict(goods)
    sku = list(made)[int(chance.integers(len(made)))]
    if kind == "line_changed" and len(made) > 1:
        del made[sku]
    elif kind in ("quantity_changed", "line_changed"):
        made[sku] = made[sku] + float(chance.integers(1, 12))
    return made


def asked(
    orders: list[Basket], copies: Mapping[str, str], rarity: Rarity, habits: dict[str, float]
) -> tuple[Array, Array]:
    """(float64 (pairs, FEATURES), float64 (pairs,)): candidates among orders of which some are planted, and which are."""
    found = [*pairs(orders), *across(orders, rarity)]
    true = [float(copies.get(two.number) == one.number or copies.get(one.number) == two.number) for one, two in found]
    return ask(found, rarity, habits), np.array(true)


def fit(lines: Table, until: float) -> Boosted:
    """Learn from orders before `until`. Raises NotEnoughData."""
    own = [basket for basket in baskets(lines) if basket.at < until][-NEWEST:]
    rarity, habits = Rarity.among(own), usual(own)
    rounds = [asked(*planted(own, SHARE, seed), rarity, habits) for seed in range(1, ROUNDS + 1)]
    matrix, true = (np.concatenate(parts) for parts in zip(*rounds, strict=True))
    return Boosted.fit(matrix, true, FEATURES, monotone_constraints=list(TREND), num_leaves=15, learning_rate=0.04)


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
    "named": lambda x: "the customer is named",
    "other_account": lambda x: "of another account" if x else "of one account",
}
