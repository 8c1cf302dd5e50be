"""What models say that are no yes-or-no questions of a recipe: prices, doubled orders, demand, and the load of queues. Rows to record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from erp_core.values import CAUSE
from ml import demand as forecasts
from ml import duplicates, price_anomaly, root_cause, stockout
from ml.asof import DAY, Array, Known, Names
from ml.boosted import Boosted, Quantiles
from ml.duplicates import Rarity
from ml.history import History, Table, take
from ml.recipe import Predictor, told

Row = dict[str, Any]
Near = Mapping[str, Sequence[str]]


def prices(model: Boosted, history: History, numbers: Sequence[str]) -> list[Row]:
    """The worst price of each order; an order without prices has none that is wrong."""
    lines = history["order_lines"]
    found: dict[str, Row] = {
        n: {"subject": f"sales_order:{n}", "question": "price_anomaly", "value": 0.0} for n in numbers
    }
    rows = np.flatnonzero(np.isin(lines["order"].astype(str), list(numbers)))
    if not len(rows):
        return list(found.values())
    mine = take(lines, rows)
    matrix = price_anomaly.Past(lines).ask(mine, mine["price"])
    said, shares = model.probabilities(matrix), model.contributions(matrix)
    for row, order in enumerate(mine["order"]):
        if float(said[row]) > found[order]["value"]:
            why = told(price_anomaly.FEATURES, price_anomaly.WORDS, matrix[row], shares[row])
            what = f"{mine['sku'][row]} at {mine['price'][row]:,.2f}"
            found[order] |= {"value": float(said[row]), "reasons": [{"text": what, "share": None}, *why]}
    return list(found.values())


def doubles(model: Boosted, history: History, numbers: Sequence[str], rarity: Rarity, near: Near) -> list[Row]:
    """The order that each of these most looks like once more; `near`: orders of other accounts for much the same goods, by number."""
    orders = duplicates.baskets(history["order_lines"])
    by_number, mine = {basket.number: basket for basket in orders}, set(numbers)
    found = [(one, two) for one, two in duplicates.pairs(orders) if two.number in mine]
    found += [
        (by_number[other], by_number[n]) for n in numbers for other in near.get(n, ()) if {n, other} <= by_number.keys()
    ]
    best: dict[str, Row] = {
        n: {"subject": f"sales_order:{n}", "question": "duplicate_order", "value": 0.0} for n in numbers
    }
    if found:
        matrix = duplicates.ask(found, rarity, duplicates.usual(orders))
        said, shares = model.probabilities(matrix), model.contributions(matrix)
        for row, (one, two) in enumerate(found):
            if float(said[row]) > best[two.number]["value"]:
                why = told(duplicates.FEATURES, duplicates.WORDS, matrix[row], shares[row])
                whose = f" of {one.customer}" if one.customer != two.customer else ""
                best[two.number] |= {
                    "value": float(said[row]),
                    "reasons": [{"text": f"like {one.number}{whose}", "share": None}, *why],
                }
    return list(best.values())


CAUSES_KNOWN = 50  # closed cases of which somebody said why; with fewer there is nothing to go by


def causes(model: Predictor, history: History, cases: Table) -> list[Row]:
    """The likeliest root cause of each case, among those that people have named."""
    named = root_cause.causes_of(history)
    if root_cause.named(history["cases"]["cause"]).sum() < CAUSES_KNOWN or not len(cases["at"]):
        return []
    matrix = root_cause.features(root_cause.Past(history), root_cause.pairs(cases, named))
    said = model.heads[root_cause.RECIPE.main].probabilities(matrix).reshape(-1, len(named))
    said = said / said.sum(axis=1, keepdims=True)  # a case has one cause
    rows = []
    for case, (number, best) in enumerate(zip(cases["id"], said.argmax(axis=1), strict=True)):
        why = model.reasons(matrix[case * len(named) + best])
        question = f"{CAUSE}{named[best]}"[:60]
        rows.append(
            {"subject": f"case:{number}", "question": question, "value": float(said[case, best]), "reasons": why}
        )
    return rows


def latest(levels: Table) -> Table:
    """Each shelf's newest evening."""
    key = stockout.place(levels)
    newest = {name: row for row, name in enumerate(key)}
    return take(levels, np.array(sorted(newest.values()), dtype=int))


def demand(model: Quantiles, history: History) -> list[Row]:
    """What each shelf will be asked for in 28 days, with its interval."""
    lines = history["order_lines"]
    if not len(lines["at"]):
        return []
    places = stockout.place(lines)
    names = Names(places)
    known = Known(names.of(places), lines["at"], lines["quantity"])
    listed = sorted(set(places.tolist()))
    said: Array = forecasts.predict(model, known, names.of(np.array(listed, dtype=object)), history.now)
    return [
        {
            "subject": "stock:" + name.replace("|", ":"),
            "question": "demand_28",
            "value": float(v[1]),
            "low": float(v[0]),
            "high": float(v[2]),
        }
        for name, v in zip(listed, said, strict=True)
    ]


def load(history: History) -> list[Row]:
    """Cases that each queue will get in the next day."""
    if not len(history["cases"]["at"]):
        return []
    load = forecasts.QueueLoad(history["cases"], history.now)
    start = np.floor(history.now / 3600) * 3600
    hours = start + np.arange(24) * 3600.0
    rows = []
    for queue in load.queues:
        expected = load.expected(queue, hours)
        busiest = int(expected.argmax())
        when = int((hours[busiest] % DAY) // 3600)
        rows.append(
            {
                "subject": f"queue:{queue}",
                "question": "cases_24",
                "value": float(expected.sum()),
                "reasons": [{"text": f"busiest at {when:02d}:00 UTC", "share": None}],
            }
        )
    return rows
