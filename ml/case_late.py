"""Case priority: will this case still be open when its time is up? Asked when it comes to its queue, of what was known of it then."""

from __future__ import annotations

import numpy as np

from ml.asof import Array, Known, Names, hour, weekday
from ml.history import History, Table
from ml.recipe import WEEKDAYS, Heads, Recipe, all_of, counted

HOUR = 3600.0
URGENCY = {"urgent": 3.0, "high": 2.0, "normal": 1.0, "low": 0.0}
TIERS = {"A": 2.0, "B": 1.0, "C": 0.0}
FEATURES = (
    "hours_left", "weekday", "hour", "priority", "tier", "worth", "queue_open", "queue_done_7", "queue_came_1", "queue_late", "kind_late",
    "kind_hours", "customer_late",
)  # fmt: skip


class Past:
    """How queues and kinds of cases went so far."""

    def __init__(self, history: History) -> None:
        cases = history["cases"]
        self.queues, self.kinds, self.customers = (Names(cases[name]) for name in ("queue", "kind", "customer"))
        queue, kind = self.queues.of(cases["queue"]), self.kinds.of(cases["kind"])
        at, closed = cases["at"], cases["closed"]
        # that it was late is known when its time was up, that it was not when it was closed
        in_time = closed <= cases["ends"]
        known = np.where(in_time, closed, cases["ends"])
        late = 1.0 - in_time
        self.came, self.done = Known(queue, at), Known(queue, closed)
        self.queue_late, self.kind_late = Known(queue, known, late), Known(kind, known, late)
        self.kind_hours = Known(kind, closed, (closed - at) / HOUR)
        self.customer_late = Known(self.customers.of(cases["customer"]), known, late)


def features(past: Past, cases: Table) -> Array:
    """float64 (cases, FEATURES): each as of its coming to its queue."""
    queue, kind, at = past.queues.of(cases["queue"]), past.kinds.of(cases["kind"]), cases["at"]
    who = past.customers.of(cases["customer"])
    named = np.array([bool(x) for x in cases["customer"]])
    columns = {
        "hours_left": (cases["due"] - at) / HOUR,
        "weekday": weekday(at),
        "hour": hour(at),
        "priority": np.array([URGENCY.get(x, np.nan) for x in cases["priority"]]),
        "tier": np.array([TIERS.get(x, np.nan) for x in cases["tier"]]),
        "worth": cases["worth"],
        "queue_open": past.came.count(queue, at, 90) - past.done.count(queue, at, 90),
        "queue_done_7": past.done.count(queue, at, 7),
        "queue_came_1": past.came.count(queue, at, 1),
        "queue_late": past.queue_late.share(queue, at, 30, 0.2),
        "kind_late": past.kind_late.share(kind, at, 90, 0.2),
        "kind_hours": past.kind_hours.mean(kind, at, 90),
        "customer_late": np.where(named, past.customer_late.share(who, at, 365, 0.2), np.nan),
    }
    return np.stack([columns[name] for name in FEATURES], axis=1)


def labels(history: History) -> Heads:
    """Late: closed after its time, or open when that was up. What has no due time asks nothing."""
    cases = history["cases"]
    open_still = np.isnan(cases["closed"])
    known = ~np.isnan(cases["ends"]) & (~open_still | (cases["ends"] < history.now))
    return {"case_late": (known, (open_still | (cases["closed"] > cases["ends"])).astype(float))}


def baseline(past: Past, cases: Table) -> Array:
    """The rule of thumb: the share of late ones of this kind in 90 days."""
    kind = past.kinds.of(cases["kind"])
    return past.kind_late.share(kind, cases["at"], 90, 0.2)


WORDS = {
    "hours_left": lambda x: f"it has {counted(x, 'hour')} until it is due",
    "weekday": lambda x: f"it came on a {WEEKDAYS[int(x)]}",
    "hour": lambda x: f"it came at {x:.0f} o'clock UTC",
    "priority": lambda x: f"its priority is {next((k for k, v in URGENCY.items() if v == x), 'none')}",
    "tier": lambda x: f"the customer's tier is {next((k for k, v in TIERS.items() if v == x), 'none')}",
    "worth": lambda x: f"{x:,.0f} is at stake" if x else "no amount is at stake",
    "queue_open": lambda x: f"{counted(x, 'other case')} of its queue were open",
    "queue_done_7": lambda x: f"its queue closed {counted(x, 'case')} in a week",
    "queue_came_1": lambda x: f"its queue got {counted(x, 'case')} in a day",
    "queue_late": lambda x: f"{x:.0%} of its queue's cases of 30 days were late",
    "kind_late": lambda x: f"{x:.0%} of such cases of 90 days were late",
    "kind_hours": lambda x: f"such cases take {counted(x, 'hour')}",
    "customer_late": lambda x: f"{x:.0%} of this customer's cases were late",
}

RECIPE = Recipe(
    name="case_late",
    title="Case priority",
    about="cases",
    features=FEATURES,
    past=Past,
    compute=features,
    labels=labels,
    main="case_late",
    baseline=baseline,
    rule="share of such cases of 90 days that were late",
    words=WORDS,
    subjects=all_of("cases"),
    slices=("queue", "priority"),
    truth={"case_late": "case_late"},
)
