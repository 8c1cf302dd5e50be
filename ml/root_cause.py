"""Root cause: why did a case arise? Each case is asked about beside each cause that people have named, and the likeliest is offered to who closes it."""

from __future__ import annotations

import numpy as np

from ml.asof import Array, Known, Names, rate
from ml.history import History, Table, take
from ml.recipe import Heads, Recipe

FEATURES = (
    "kind_share", "kind_share_60", "kind_known", "queue_share", "customer_share", "customer_known", "all_share", "all_share_60", "priority_share",
)  # fmt: skip
NOBODYS = ("", "by_itself", "machine_mail")  # what nobody looked into says nothing of causes
WEIGHT = 5.0


def named(causes: Array) -> Array:
    """bool (n,): a person said why."""
    return np.array([cause not in NOBODYS for cause in causes], dtype=bool)


def pairs(cases: Table, causes: list[str]) -> Table:
    """Each case beside each cause, case by case; `candidate` is the cause that is asked about."""
    rows = np.repeat(np.arange(len(cases["at"])), len(causes))
    return {**take(cases, rows), "candidate": np.tile(np.array(causes, dtype=object), len(cases["at"]))}


def causes_of(history: History) -> list[str]:
    """The causes that people have named, in the order of their names."""
    found = history["cases"]["cause"]
    return sorted(set(found[named(found)].tolist()))


LIKE = ("kind", "queue", "customer", "priority")  # what another case is like this one in


class Past:
    """Why cases arose so far: facts known when a case was closed."""

    def __init__(self, history: History) -> None:
        whole = history["cases"]
        cases = take(whole, named(whole["cause"]))
        self.names = {name: Names(cases[name]) for name in (*LIKE, "cause")}
        self.width = len(set(cases["cause"].tolist())) + 1  # one more, for a cause never named
        keys = {name: self.names[name].of(cases[name]) for name in (*LIKE, "cause")}
        cause, closed = keys["cause"], cases["closed"]
        self.of = {name: Known(keys[name], closed) for name in LIKE}
        self.paired = {name: Known(keys[name] * self.width + cause, closed) for name in LIKE}
        self.cause, self.every = Known(cause, closed), Known(np.zeros(len(closed)), closed)


class Asked:
    """Cases beside causes, as numbers that a past knows: names are looked up once."""

    def __init__(self, past: Past, rows: Table) -> None:
        self.past, self.at = past, rows["at"]
        self.keys = {name: past.names[name].of(rows[name]) for name in LIKE}
        self.cause = past.names["cause"].of(rows["candidate"])

    def share(self, name: str, prior: Array, days: float) -> Array:
        """float64 (n,): share of the candidate among like cases, leaning on `prior`."""
        both = self.past.paired[name].count(self.keys[name] * self.past.width + self.cause, self.at, days)
        return rate(both, self.known(name, days), prior, WEIGHT)

    def known(self, name: str, days: float) -> Array:
        """float64 (n,): how many like cases are known."""
        return self.past.of[name].count(self.keys[name], self.at, days)

    def of_all(self, days: float) -> Array:
        """float64 (n,): share of the candidate among all cases."""
        every = self.past.every.count(np.zeros(len(self.at)), self.at, days)
        return rate(self.past.cause.count(self.cause, self.at, days), every, 1 / self.past.width)


def features(past: Past, rows: Table) -> Array:
    """float64 (case and cause, FEATURES): each as of the case's coming to its queue."""
    asked = Asked(past, rows)
    always = asked.of_all(365)
    kind = asked.share("kind", always, 365)
    someone = np.array([bool(x) for x in rows["customer"]])
    columns = {
        "kind_share": kind,
        "kind_share_60": asked.share("kind", kind, 60),
        "kind_known": asked.known("kind", 365),
        "queue_share": asked.share("queue", always, 365),
        "customer_share": np.where(someone, asked.share("customer", kind, 365), np.nan),
        "customer_known": np.where(someone, asked.known("customer", 365), np.nan),
        "all_share": always,
        "all_share_60": asked.of_all(60),
        "priority_share": asked.share("priority", always, 365),
    }
    return np.stack([columns[name] for name in FEATURES], axis=1)


def subjects(history: History) -> Table:
    """Closed cases of which somebody said why, each beside each cause."""
    cases = history["cases"]
    return pairs(take(cases, named(cases["cause"]) & ~np.isnan(cases["closed"])), causes_of(history))


def labels(history: History) -> Heads:
    """The candidate is the cause that was named."""
    rows = subjects(history)
    asked = (rows["candidate"] == rows["cause"]).astype(float)
    return {"cause": (np.ones(len(asked), dtype=bool), asked)}


def baseline(past: Past, rows: Table) -> Array:
    """The rule of thumb: the candidate's share among closed cases of this kind."""
    asked = Asked(past, rows)
    return asked.share("kind", asked.of_all(365), 365)


WORDS = {
    "kind_share": lambda x: f"{x:.0%} of such cases arose from it",
    "kind_share_60": lambda x: f"{x:.0%} of such cases of 60 days arose from it",
    "kind_known": lambda x: f"{x:.0f} such cases were closed in a year",
    "queue_share": lambda x: f"{x:.0%} of the queue's cases arose from it",
    "customer_share": lambda x: f"{x:.0%} of this customer's cases arose from it",
    "customer_known": lambda x: f"{x:.0f} cases of this customer were closed in a year",
    "all_share": lambda x: f"{x:.0%} of all cases arose from it",
    "all_share_60": lambda x: f"{x:.0%} of all cases of 60 days arose from it",
    "priority_share": lambda x: f"{x:.0%} of cases of its priority arose from it",
}

RECIPE = Recipe(
    name="root_cause",
    title="Root cause",
    about="cases",
    features=FEATURES,
    past=Past,
    compute=features,
    labels=labels,
    main="cause",
    baseline=baseline,
    rule="the cause's share among closed cases of the kind",
    words=WORDS,
    subjects=subjects,
    slices=("queue",),
    truth={"cause": "cause"},
)
