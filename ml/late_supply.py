"""Late supplier delivery and receipt discrepancy: will a purchase order line come late, how late, and will it come as ordered?

Asked the moment the order is sent, and again as its date comes near: `asked_at` says when.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ml.asof import DAY, Array, Known, Names, weekday
from ml.history import History, Table, take
from ml.recipe import WEEKDAYS, Amount, Heads, Recipe

KEYS = ("supplier", "sku", "category", "warehouse", "lane")
WINDOWS = (30.0, 120.0, 365.0, None)


def names_of(keys: Sequence[str]) -> tuple[str, ...]:
    """The features over these keys."""
    of_key = tuple(
        f"{key}_{name}"
        for key in ("all", *keys)
        for name in ("late_30", "late_120", "late_365", "late", "number", "days", "last", "calm", "wrong")
    )
    return (
        *of_key,
        "lead_days",
        "days_ahead",
        "quantity",
        "value",
        "unit",
        "weekday",
        "month",
        "month_end",
        "lines",
        "high_risk",
    )


class Past:
    """How deliveries by each key came so far. `keys` are columns of the purchases; a lane is a supplier into a warehouse."""

    def __init__(self, history: History, keys: Sequence[str] = KEYS) -> None:
        rows = with_lane(history["purchases"])
        self.keys = tuple(keys)
        late = (rows["received"] > rows["expected"] + 1).astype(float)
        missed = np.isnan(rows["received"]) & (history.now > rows["expected"] + DAY)
        late = np.where(missed, 1.0, late)
        # a missed date is known the day after, a kept one when the goods are there
        self.known = np.where(late > 0, rows["expected"] + DAY, rows["received"])
        self.late, self.behind = late, np.clip((rows["received"] - rows["expected"]) / DAY, -30, 60)
        self.rows = rows
        self.names = {key: Names(rows[key]) for key in self.keys}
        self.by = {"all": self._of(np.zeros(len(late), dtype=np.int64))}
        self.by |= {key: self._of(self.names[key].of(rows[key])) for key in self.keys}
        together = Names(rows["number"])
        self.lines = dict(zip(*np.unique(together.of(rows["number"]), return_counts=True), strict=True))
        self.together = together

    def _of(self, key: Array) -> dict[str, Known]:
        rows, slow = self.rows, self.late > 0
        return {
            "late": Known(key, self.known, self.late),
            "days": Known(key, rows["received"], self.behind),
            "missed": Known(key[slow], self.known[slow]),
            "wrong": Known(key, rows["received"], rows["differs"]),
        }


def with_lane(rows: Table) -> Table:
    """The purchases with their lane."""
    lane = np.array(
        [f"{s}|{w}" for s, w in zip(rows["supplier"].tolist(), rows["warehouse"].tolist(), strict=True)], dtype=object
    )
    return {**rows, "lane": lane}


def features(past: Past, rows: Table) -> Array:
    """float64 (rows, features): as of `asked_at`. A row asks while it has not come, so that it never sees itself."""
    rows = rows if "lane" in rows or "lane" not in past.keys else with_lane(rows)
    at = rows["asked_at"]
    nobody = np.zeros(len(at), dtype=np.int64)
    columns: dict[str, Array] = {}
    general = np.nan_to_num(past.by["all"]["late"].mean(nobody, at, 365), nan=0.15)
    for name in ("all", *past.keys):
        key = nobody if name == "all" else past.names[name].of(rows[name])
        known = past.by[name]
        for days in WINDOWS:
            told = f"{name}_late_{days:.0f}" if days else f"{name}_late"
            columns[told] = known["late"].share(key, at, days, general)
        columns[f"{name}_number"] = known["late"].count(key, at, 365)
        columns[f"{name}_days"] = known["days"].mean(key, at, 365)
        columns[f"{name}_last"] = known["days"].last(key, at)
        columns[f"{name}_calm"] = known["missed"].since(key, at)
        columns[f"{name}_wrong"] = known["wrong"].share(key, at, 365, 0.05)
    expected = rows["expected"]
    days = np.floor(np.nan_to_num(expected) / DAY)
    month = np.array([d.month for d in days.astype("datetime64[D]").tolist()], dtype=float) if len(days) else days
    day = np.array([d.day for d in days.astype("datetime64[D]").tolist()], dtype=float) if len(days) else days
    together = past.together.of(rows["number"])
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = np.log1p(rows["value"] / rows["quantity"])
    columns |= {
        "lead_days": (expected - rows["at"]) / DAY,
        "days_ahead": (expected - at) / DAY,
        "quantity": np.log1p(rows["quantity"]),
        "value": np.log1p(rows["value"]),
        "unit": unit,
        "weekday": weekday(np.nan_to_num(expected)),
        "month": month,
        "month_end": day,
        "lines": np.array([past.lines.get(x, 1) for x in together.tolist()], dtype=float),
        "high_risk": np.select([rows["risk"] == "high", rows["risk"] == "medium"], [2.0, 1.0], 0.0),
    }
    return np.stack([columns[name] for name in names_of(past.keys)], axis=1)


def asked(history: History, ahead: Sequence[float | None] = (None, 7.0)) -> Table:
    """Purchase order lines as asked about: when sent (None), and so many days before their date, while they have not come."""
    rows = with_lane(history["purchases"])
    parts = []
    for days in ahead:
        moment = rows["at"] + 1 if days is None else rows["expected"] - days * DAY
        open_then = ~(rows["received"] <= moment) & (moment >= rows["at"]) & (moment <= history.now) & ~np.isnan(moment)
        parts.append(
            {**take(rows, open_then), "asked_at": moment[open_then], "row": np.flatnonzero(open_then).astype(float)}
        )
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return take(whole, np.argsort(whole["asked_at"], kind="stable"))


def outcomes(history: History, rows: Table) -> Heads:
    """Late: not there by the end of the expected day. Differs: too few, too many, damaged or another item."""
    received, expected = rows["received"], rows["expected"]
    missed = np.isnan(received) & (history.now > expected + DAY)
    late = (missed | (received > expected + 1)).astype(float)
    return {
        "late": (~np.isnan(received) | missed, late),
        "differs": (~np.isnan(rows["differs"]), np.nan_to_num(rows["differs"])),
    }


def labels(history: History) -> Heads:
    """Outcomes of `asked`."""
    return outcomes(history, asked(history))


def behind(history: History) -> tuple[Array, Array]:
    """Days after the end of the expected day that each of `asked` came, within a month before and two after."""
    rows = asked(history)
    return ~np.isnan(rows["received"]), np.clip(np.nan_to_num((rows["received"] - rows["expected"]) / DAY), -30, 60)


def baseline(past: Past, rows: Table) -> Array:
    """The rule of thumb: the supplier's share of late deliveries of a year."""
    known, key, at = past.by["supplier"]["late"], past.names["supplier"].of(rows["supplier"]), rows["asked_at"]
    return known.share(key, at, 365, 0.15)


OF = {
    "all": "all",
    "supplier": "this supplier's",
    "sku": "this item's",
    "category": "this category's",
    "warehouse": "the warehouse's",
    "lane": "this supplier's to this warehouse",
}
SPANS = {"late_30": " of 30 days", "late_120": " of 120 days", "late_365": " of a year", "late": " so far"}
MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]


def _of_key(key: str) -> dict[str, Callable[[float], str]]:
    """What is said of the past of one key."""
    of = OF[key]

    def side(x: float) -> str:
        return "after" if x > 0 else "before"

    def late(when: str) -> Callable[[float], str]:
        return lambda x: f"{x:.0%} of {of} deliveries{when} were late"

    return {
        **{f"{key}_{span}": late(when) for span, when in SPANS.items()},
        f"{key}_number": lambda x: f"{x:.0f} of {of} deliveries are known",
        f"{key}_days": lambda x: f"{of} deliveries come {abs(x):.1f} days {side(x)} the date",
        f"{key}_last": lambda x: f"the last of {of} deliveries came {abs(x):.0f} days {side(x)} its date",
        f"{key}_calm": lambda x: f"the last late one of {of} deliveries was {x:.0f} days ago",
        f"{key}_wrong": lambda x: f"{x:.0%} of {of} deliveries were not as ordered",
    }


WORDS: dict[str, Callable[[float], str]] = {
    **{name: words for key in OF for name, words in _of_key(key).items()},
    "lead_days": lambda x: f"it has {x:.0f} days to come",
    "days_ahead": lambda x: f"it is due in {x:.0f} days",
    "quantity": lambda x: f"{np.expm1(x):,.0f} pieces are ordered",
    "value": lambda x: f"it comes to {np.expm1(x):,.0f}",
    "unit": lambda x: f"a piece costs {np.expm1(x):,.2f}",
    "weekday": lambda x: f"it is due on a {WEEKDAYS[int(x)]}",
    "month": lambda x: f"it is due in {MONTHS[int(x) - 1]}",
    "month_end": lambda x: f"it is due on the {x:.0f}. of the month",
    "lines": lambda x: f"the purchase order has {x:.0f} lines",
    "high_risk": lambda x: f"the supplier's risk is {('low', 'medium', 'high')[int(x)]}",
}  # fmt: skip

RECIPE = Recipe(
    name="late_supply",
    title="Late supplier delivery",
    about="purchases",
    features=names_of(KEYS),
    past=Past,
    compute=features,
    labels=labels,
    main="late",
    baseline=baseline,
    rule="share of the supplier's deliveries of a year that were late",
    words=WORDS,
    subjects=asked,
    slices=("risk", "warehouse"),
    moment="asked_at",
    amount=Amount("days_late", behind),
)
