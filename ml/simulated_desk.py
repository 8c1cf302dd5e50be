"""The desk of a simulated distributor: cases that come to queues, how they end, and why they arose. True probabilities are known."""

from __future__ import annotations

import numpy as np

from ml.asof import DAY, Array
from ml.history import Table

# what comes to a queue, and what it usually comes from
KINDS = {
    "customer_service": ("mail", "service_recovery", "risk_review"),
    "credit": ("hold_credit", "payment_due"),
    "pricing": ("hold_price", "hold_margin"),
    "allocation": ("hold_stock", "supply_short"),
    "warehouse": ("shipment_delay", "stock_mismatch"),
    "receiving": ("late_logging", "transfer_discrepancy"),
    "purchasing": ("purchase_approval", "replenishment"),
}
CAUSES = (
    "carrier",
    "credit_terms",
    "customer_error",
    "forecast",
    "master_data",
    "our_entry",
    "price_agreement",
    "stock_record",
    "supplier",
)
SLA_HOURS = {"urgent": 4.0, "high": 8.0, "normal": 24.0, "low": 72.0}


def cases(
    chance: np.random.Generator, start: float, days: int, buyers: dict[str, Array]
) -> tuple[Table, dict[str, Array]]:
    """Cases come by the hour: busy mornings, quiet Fridays, and a heap after a quarter's end. Queues differ in how they keep up, kinds in why they arise."""
    hours = np.arange(days * 24)
    weekday, hour = (hours // 24) % 7, hours % 24
    day_shape = np.exp(-((hour - 10) ** 2) / 18)
    heap = (hours // 24) % 91 < 5
    rate = 1.6 * day_shape * np.where(weekday > 4, 0.1, 1.0) * np.where(heap, 1.6, 1.0)
    at, queue = [], []
    for number, name in enumerate(KINDS):
        drawn = chance.poisson(rate * (0.4 + 0.25 * number))
        at.append(start + np.repeat(hours, drawn) * 3600.0 + chance.uniform(0, 3600, int(drawn.sum())))
        queue += [name] * int(drawn.sum())
    when = np.concatenate(at)
    order = np.argsort(when, kind="stable")
    n, when, queues = len(when), when[order], np.array(queue, dtype=object)[order]
    kind = np.array(
        [KINDS[q][k % len(KINDS[q])] for q, k in zip(queues, chance.integers(0, 6, n), strict=True)], dtype=object
    )
    who = chance.choice(len(buyers["code"]), n, p=buyers["rate"])
    priority = chance.choice(np.array(list(SLA_HOURS), dtype=object), n, p=[0.05, 0.2, 0.65, 0.1])
    given = np.array([SLA_HOURS[p] for p in priority])
    worth = np.round(buyers["size"][who] * chance.lognormal(0, 0.6, n), 2)
    late, after = _closing(chance, (when - start) / DAY, queues, kind, given, worth)
    causes, share = _causes(chance, kind, who, buyers)
    end = start + days * DAY
    closed = np.where(when + after < end, when + after, np.nan)
    table = {
        "id": np.arange(n).astype(str).astype(object),
        "queue": queues,
        "kind": kind,
        "priority": priority,
        "tier": buyers["tier"][who],
        "customer": buyers["code"][who],
        "worth": worth,
        "at": when,
        "due": when + given * 3600,
        "ends": when + given * 3600,
        "closed": closed,
        "cause": np.where(np.isnan(closed), "", causes).astype(object),
    }
    return table, {"case_late": late, "cause": share[~np.isnan(closed)].ravel()}


def _closing(
    chance: np.random.Generator, day: Array, queues: Array, kind: Array, given: Array, worth: Array
) -> tuple[Array, Array]:
    """(probability that it is late, seconds until it is closed): strained queues, long kinds, heaps and afternoons are late, what is worth much less so."""
    slow = {name: chance.normal(0, 0.8) for name in KINDS}
    long = {name: chance.normal(0, 0.7) for names in KINDS.values() for name in names}
    heap = np.floor(day) % 91 < 6
    afternoon = (day % 1) * 24 >= 13  # what comes in the afternoon waits for the next morning
    odds = (
        -1.9 - 0.5 * np.log(given / 24) + 1.2 * heap + 0.9 * afternoon - 0.25 * np.log(worth / 600)
        + np.array([slow[q] for q in queues]) + np.array([long[k] for k in kind])
    )  # fmt: skip
    late = 1 / (1 + np.exp(-odds))
    share = np.where(
        chance.random(len(day)) < late, 1 + chance.exponential(0.5, len(day)), chance.uniform(0.03, 0.98, len(day))
    )
    return late, share * given * 3600


def _causes(chance: np.random.Generator, kind: Array, who: Array, buyers: dict[str, Array]) -> tuple[Array, Array]:
    """(cause, probabilities (cases, CAUSES)): each kind has its usual causes; who is careless errs more often, who is short of money outgrows its terms."""
    usual = {
        name: np.log(chance.dirichlet(np.full(len(CAUSES), 0.4)) + 0.01) for names in KINDS.values() for name in names
    }
    odds = np.array([usual[k] for k in kind])
    odds[:, CAUSES.index("customer_error")] += 1.2 * buyers["sloppy"][who]
    odds[:, CAUSES.index("credit_terms")] += 1.2 * buyers["strain"][who]
    share = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
    drawn = (share.cumsum(axis=1) < chance.random((len(kind), 1))).sum(axis=1).clip(max=len(CAUSES) - 1)
    return np.array(CAUSES, dtype=object)[drawn], share
