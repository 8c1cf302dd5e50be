"""Late shipment: will an order reach its customer after the date it asked for?"""

from __future__ import annotations

import numpy as np

from ml.asof import DAY, Array, Known, Names, hour, weekday
from ml.history import History, Table
from ml.recipe import WEEKDAYS, Heads, Recipe, all_of, counted

FEATURES = (
    "requested_days", "lines", "value", "weekday", "hour", "short", "waiting", "waiting_own", "warehouse_late", "warehouse_behind",
    "warehouse_late_14", "customer_late", "limit_used", "overdue_share", "held", "abroad", "days_in_transit",
)  # fmt: skip


class Past:
    """How warehouses and deliveries did so far."""

    def __init__(self, history: History) -> None:
        orders, sent = history["orders"], history["shipments"]
        self.places, self.customers = Names(orders["warehouse"]), Names(orders["customer"])
        there = ~np.isnan(sent["delivered"])
        behind = (sent["delivered"] - sent["requested"]) / DAY
        late = (behind > 0).astype(float)
        place, who = self.places.of(sent["warehouse"]), self.customers.of(sent["customer"])
        # that a day was missed is known the day after, that it was kept when the goods are there
        known = np.where(late > 0, np.minimum(sent["requested"] + DAY, sent["delivered"]), sent["delivered"])
        self.late, self.behind = (
            Known(place[there], known[there], late[there]),
            Known(place[there], sent["delivered"][there], behind[there]),
        )
        self.own = Known(who[there], known[there], late[there])
        transit = (sent["delivered"] - sent["at"]) / DAY
        self.transit = Known(place[there], sent["delivered"][there], transit[there])
        self.entered, self.left = Known(self.places.of(orders["warehouse"]), orders["at"]), Known(place, sent["at"])
        self.own_entered, self.own_left = (
            Known(self.customers.of(orders["customer"]), orders["at"]),
            Known(who, sent["at"]),
        )


def features(past: Past, orders: Table) -> Array:
    """float64 (orders, FEATURES): each as of its order's entry."""
    place, who, at = past.places.of(orders["warehouse"]), past.customers.of(orders["customer"]), orders["at"]
    limit = np.where(orders["limit"] > 0, orders["limit"], np.nan)
    columns = {
        "requested_days": (orders["requested"] - at) / DAY,
        "lines": orders["lines"],
        "value": orders["value"],
        "weekday": weekday(at),
        "hour": hour(at),
        "short": orders["short"],
        "waiting": past.entered.count(place, at, 14) - past.left.count(place, at, 14),
        "waiting_own": past.own_entered.count(who, at, 30) - past.own_left.count(who, at, 30),
        "warehouse_late": past.late.share(place, at, 90, 0.2),
        "warehouse_behind": past.behind.mean(place, at, 30),
        "warehouse_late_14": past.late.share(place, at, 14, 0.2),
        "customer_late": past.own.share(who, at, 365, 0.2),
        "limit_used": (orders["exposure"] + orders["value"]) / limit,
        "overdue_share": orders["overdue"] / limit,
        "held": orders["held"],
        "abroad": orders["abroad"],
        "days_in_transit": past.transit.mean(place, at, 60),
    }
    return np.stack([columns[name] for name in FEATURES], axis=1)


def labels(history: History) -> Heads:
    """Late: delivered after the requested date, or not delivered by then. Orders without a date ask nothing."""
    orders, sent = history["orders"], history["shipments"]
    last: dict[str, float] = {}
    for order, delivered in zip(sent["order"].tolist(), sent["delivered"].tolist(), strict=True):
        before = last.get(order, -np.inf)
        last[order] = np.nan if np.isnan(delivered) or np.isnan(before) else max(before, delivered)
    delivered = np.array([last.get(x, np.nan) for x in orders["number"].tolist()])
    missed = np.isnan(delivered) & (history.now > orders["requested"] + DAY)
    known = ~np.isnan(orders["requested"]) & (orders["cancelled"] == 0) & (~np.isnan(delivered) | missed)
    return {"late": (known, (missed | (delivered > orders["requested"])).astype(float))}


def baseline(past: Past, orders: Table) -> Array:
    """The rule of thumb: the share of late deliveries of the warehouse in 90 days."""
    place = past.places.of(orders["warehouse"])
    return past.late.share(place, orders["at"], 90, 0.2)


WORDS = {
    "requested_days": lambda x: f"it is wanted in {counted(x, 'day')}",
    "lines": lambda x: f"it has {counted(x, 'line')} to pick",
    "value": lambda x: f"it comes to {x:,.0f}",
    "weekday": lambda x: f"it came on a {WEEKDAYS[int(x)]}",
    "hour": lambda x: f"it came at {x:.0f} o'clock",
    "short": lambda x: f"{x:.0%} of the lines were short of stock" if x > 0 else "stock covered all lines",
    "waiting": lambda x: f"{x:.0f} orders of two weeks wait in the warehouse",
    "waiting_own": lambda x: f"{x:.0f} other orders of the customer have not left",
    "warehouse_late": lambda x: f"{x:.0%} of the warehouse's deliveries of 90 days were late",
    "warehouse_behind": lambda x: f"its deliveries came {abs(x):.1f} days {'after' if x > 0 else 'before'} the date",
    "warehouse_late_14": lambda x: f"{x:.0%} of the warehouse's deliveries of two weeks were late",
    "customer_late": lambda x: f"{x:.0%} of this customer's deliveries were late",
    "limit_used": lambda x: f"the order takes the customer to {x:.0%} of its credit limit",
    "overdue_share": lambda x: f"overdue bills come to {x:.0%} of the credit limit" if x > 0 else "nothing is overdue",
    "held": lambda x: "it was held at entry" if x else "it was not held at entry",
    "abroad": lambda x: "it goes abroad" if x else "it stays in the country",
    "days_in_transit": lambda x: f"carriers take {x:.1f} days",
}

RECIPE = Recipe(
    name="late_shipment",
    title="Late shipment",
    about="orders",
    features=FEATURES,
    past=Past,
    compute=features,
    labels=labels,
    main="late",
    baseline=baseline,
    rule="share of the warehouse's deliveries of 90 days that were late",
    words=WORDS,
    subjects=all_of("orders"),
    slices=("warehouse", "channel"),
    truth={"late": "late"},
)
