"""A distributor by chance, in columns and at once: what first models learn from, and where the true probability is known.

Customers differ in how they pay, order and err, items in how scarce they are, suppliers in how late they come; none of this is a column,
it shows in what happens. Outcomes are then drawn with probabilities that `truth` keeps: nobody can predict better than they do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml import simulated_desk
from ml.asof import DAY, Array, Known
from ml.history import History, Table

START = 1_700_000_000.0
FRESH_SEED = 101  # the history that versions are asked about; nothing may be trained on it
REASONS = ("credit", "price", "margin", "stock", "duplicate", "abnormal", "export", "data")
CHANNELS = np.array(["edi", "portal", "email", "sales_rep", "ecommerce"], dtype=object)
WAREHOUSES = np.array(["W1", "W2", "W3"], dtype=object)
CATEGORIES = np.array(["fasteners", "bearings", "valves", "electrical", "safety", "janitorial"], dtype=object)


@dataclass
class Size:
    """How large a world: orders, customers, items, suppliers, days."""

    orders: int = 40_000
    customers: int = 500
    items: int = 400
    suppliers: int = 30
    days: int = 540


def simulate(seed: int = 1, size: Size | None = None) -> History:
    """The same seed, the same history."""
    size = size or Size()
    chance = np.random.default_rng(seed)
    buyers = _buyers(chance, size)
    orders, lines, who, ratios = _orders(chance, size, buyers)
    invoices = _invoices(chance, orders, who, buyers)
    _standing(orders, invoices, who, buyers)
    holds, truth = _holds(chance, orders, who, ratios, buyers)
    shipments, late = _shipments(chance, orders, holds, truth)
    purchases, supply = _purchases(chance, size)
    levels = _levels(chance, size, lines)
    cases, courses = simulated_desk.cases(chance, START, size.days, buyers)
    tables = {
        "orders": orders,
        "order_lines": lines,
        "holds": holds,
        "invoices": invoices,
        "shipments": shipments,
        "purchases": purchases,
        "levels": levels,
        "cases": cases,
    }
    return History(tables, START + size.days * DAY, "simulated", {**truth, "late": late, **supply, **courses})


def _buyers(chance: np.random.Generator, size: Size) -> dict[str, Array]:
    n = size.customers
    rate = chance.lognormal(0, 0.8, n)
    return {
        "code": np.array([f"S{i:05d}" for i in range(n)], dtype=object),
        "rate": rate / rate.sum(),
        "late": np.where(chance.random(n) < 0.25, chance.uniform(8, 40, n), chance.uniform(-6, 6, n)),
        "spread": chance.uniform(1, 8, n),
        "strain": chance.normal(0, 1, n),  # how tight its money is
        "sloppy": chance.normal(0, 1, n),  # how often its prices and data are wrong
        "bold": chance.normal(0, 1, n),  # how uneven its orders are
        "size": chance.lognormal(6.5, 0.7, n),
        "terms": chance.choice([14.0, 30.0, 30.0, 45.0, 60.0], n),
        "tier": chance.choice(np.array(["A", "B", "C"], dtype=object), n, p=[0.2, 0.3, 0.5]),
        "segment": chance.choice(np.array(["trade", "industry", "public", "retail"], dtype=object), n),
        "abroad": (chance.random(n) < 0.08).astype(float),
        "discount": chance.uniform(0.78, 1.0, n),
        "warehouse": chance.choice(WAREHOUSES, n),
    }


def _orders(
    chance: np.random.Generator, size: Size, buyers: dict[str, Array]
) -> tuple[Table, Table, Array, dict[str, Array]]:
    n = size.orders
    day = np.sort(chance.integers(0, size.days, n))
    at = np.sort(START + day * DAY + chance.uniform(7, 18, n) * 3600)
    who = chance.choice(size.customers, n, p=buyers["rate"])
    count = 1 + chance.poisson(2.0, n)
    # an order's size against the usual, its worst price and its worst quantity: what the entry checks see
    bigness = chance.lognormal(0, 0.35 + 0.2 * np.abs(buyers["bold"][who]), n)
    value = buyers["size"][who] * bigness * count / 3
    quantity_off = np.maximum(1.0, chance.lognormal(0.1, 0.35 + 0.15 * np.maximum(buyers["bold"][who], 0), n))
    wrong = chance.random(n) < 0.03 * np.exp(0.7 * buyers["sloppy"][who])
    price_off = np.abs(chance.normal(0, 0.006, n)) + np.where(wrong, chance.exponential(0.12, n), 0)
    margin = chance.normal(24, 6, n) - 60 * np.where(wrong, price_off, 0)
    order_of_line = np.repeat(np.arange(n), count)
    item_of_line = (chance.pareto(1.2, len(order_of_line)) * size.items / 12).astype(int) % size.items
    scarcity = chance.normal(0, 1, size.items)
    short = np.zeros(n)
    np.maximum.at(short, order_of_line, scarcity[item_of_line])
    list_price = np.round(chance.lognormal(2.5, 1.0, size.items), 2) + 0.05
    names = np.array([f"SIM-{i:05d}" for i in range(size.items)], dtype=object)
    numbers = np.array([f"SO-{i:07d}" for i in range(n)], dtype=object)
    season = 1 + 0.3 * np.sin(2 * np.pi * (day[order_of_line] / 365 + item_of_line / size.items))
    quantity = np.maximum(1, np.round(chance.lognormal(2.0, 0.6, len(order_of_line)) * season))
    shown = np.clip((short + chance.normal(0, 0.8, n)) / 6, 0, 1)
    orders = {
        "number": numbers,
        "customer": buyers["code"][who],
        "warehouse": buyers["warehouse"][who],
        "channel": chance.choice(CHANNELS, n, p=[0.4, 0.2, 0.2, 0.1, 0.1]),
        "tier": buyers["tier"][who],
        "segment": buyers["segment"][who],
        "at": at,
        "requested": at + chance.integers(2, 12, n) * DAY,
        "value": value,
        "lines": count.astype(float),
        "limit": buyers["size"][who] * 25 * np.exp(-0.2 * buyers["strain"][who]),
        "exposure": np.zeros(n),
        "overdue": np.zeros(n),
        "terms": buyers["terms"][who],
        "margin": margin,
        "price_off": price_off,
        "quantity_off": quantity_off,
        "short": shown,
        "abroad": buyers["abroad"][who],
        "held": np.zeros(n),
        "closed": at + chance.uniform(0.5, 4, n) * DAY,
        "cancelled": np.zeros(n),
        "entered": at,
    }
    lines = {
        "order": numbers[order_of_line],
        "customer": orders["customer"][order_of_line],
        "po": np.array([f"P{i:06d}" for i in range(n)], dtype=object)[order_of_line],
        "warehouse": orders["warehouse"][order_of_line],
        "sku": names[item_of_line],
        "category": CATEGORIES[item_of_line % 6],
        "at": at[order_of_line],
        "quantity": quantity,
        # a customer has its discount, a large quantity costs less, and now and then a price was talked about
        "price": np.maximum(
            np.round(
                list_price[item_of_line]
                * buyers["discount"][who][order_of_line]
                * np.where(quantity > 12, 0.95, 1.0)
                * np.where(chance.random(len(quantity)) < 0.08, chance.uniform(0.9, 1.05, len(quantity)), 1.0),
                2,
            ),
            0.01,
        ),
        "list_price": list_price[item_of_line],
        "cost": list_price[item_of_line] * 0.68,
        "expected_price": list_price[item_of_line] * 0.95,
    }
    return orders, lines, who, {"bigness": bigness, "short": short}


def _invoices(chance: np.random.Generator, orders: Table, who: Array, buyers: dict[str, Array]) -> Table:
    n = len(who)
    at = orders["at"] + chance.uniform(0.5, 3, n) * DAY
    due = at + orders["terms"] * DAY
    # how a customer pays drifts with its strain over the year
    drift = np.maximum(buyers["strain"][who], 0) * 6 * np.sin(2 * np.pi * (orders["at"] - START) / DAY / 365)
    paid = due + np.maximum(chance.normal(buyers["late"][who] + drift, buyers["spread"][who]), -25) * DAY
    end = orders["at"].max()
    number = np.array([f"IN-{i}" for i in range(n)], dtype=object)
    return {
        "number": number,
        "order": orders["number"],
        "customer": orders["customer"],
        "at": at,
        "due": due,
        "paid": np.where(paid < end, paid, np.nan),
        "amount": orders["value"].copy(),
    }


def _standing(orders: Table, invoices: Table, who: Array, buyers: dict[str, Array]) -> None:
    """Exposure and overdue amounts as they stood at entry, as the core would have told them."""
    end = orders["at"].max() + 1e6
    paid = np.where(np.isnan(invoices["paid"]), end, invoices["paid"])
    billed, settled = Known(who, invoices["at"], invoices["amount"]), Known(who, paid, invoices["amount"])
    fell, fallen = np.minimum(invoices["due"] + 5 * DAY, end), paid > invoices["due"] + 5 * DAY
    due = Known(who[fallen], fell[fallen], invoices["amount"][fallen])
    cleared = Known(who[fallen], paid[fallen], invoices["amount"][fallen])
    orders["exposure"] = billed.total(who, orders["at"]) - settled.total(who, orders["at"])
    orders["overdue"] = np.maximum(due.total(who, orders["at"]) - cleared.total(who, orders["at"]), 0)


def _holds(
    chance: np.random.Generator, orders: Table, who: Array, ratios: dict[str, Array], buyers: dict[str, Array]
) -> tuple[Table, dict[str, Array]]:
    """Each reason has its own odds, from what the order shows and what its customer is."""
    use = (orders["exposure"] + orders["value"]) / orders["limit"]
    burden = np.minimum(orders["overdue"] / orders["limit"], 1)
    strain, sloppy, bold = (buyers[name][who] for name in ("strain", "sloppy", "bold"))
    odds = {
        "credit": -5.8 + 3.0 * np.minimum(use, 1.6) + 5.0 * burden + 0.04 * buyers["late"][who] + 0.6 * strain,
        "price": -5.2 + 28 * np.minimum(orders["price_off"], 0.2) + 0.8 * sloppy,
        "margin": -5.2 + 0.16 * np.clip(14 - orders["margin"], -5, 20),
        "stock": -4.6 + 1.0 * ratios["short"] + 0.15 * orders["lines"],
        "duplicate": -5.6 + 0.8 * sloppy + 0.6 * (orders["channel"] == "email"),
        "abnormal": -5.5
        + 1.0 * np.log(orders["quantity_off"]) * 2
        + 0.9 * np.maximum(np.log(ratios["bigness"]), 0)
        + 0.3 * bold,
        "export": -7.0 + 5.5 * orders["abroad"],
        "data": -5.4 + 0.9 * sloppy + 0.5 * (orders["channel"] == "email"),
    }
    truth = {name: 1 / (1 + np.exp(-value)) for name, value in odds.items()}
    drawn = {name: chance.random(len(who)) < truth[name] for name in REASONS}
    truth["held"] = 1 - np.prod([1 - truth[name] for name in REASONS], axis=0)
    number = np.concatenate([np.flatnonzero(drawn[name]) for name in REASONS])
    reason = np.repeat(np.array(REASONS, dtype=object), [int(drawn[name].sum()) for name in REASONS])
    at = orders["at"][number] + chance.uniform(0.05, 1.0, len(number)) * (orders["closed"] - orders["at"])[number]
    order = np.argsort(at, kind="stable")
    holds = {
        "order": orders["number"][number][order],
        "customer": orders["customer"][number][order],
        "at": at[order],
        "reason": reason[order],
    }
    return holds, truth


def _shipments(
    chance: np.random.Generator, orders: Table, holds: Table, truth: dict[str, Array]
) -> tuple[Table, Array]:
    """A shipment comes late when it has little time, much to pick, a slow warehouse or a risk of being held."""
    n = len(orders["at"])
    slow = {"W1": 0.0, "W2": 0.5, "W3": 1.1}
    place = np.array([slow[x] for x in orders["warehouse"]])
    lead = (orders["requested"] - orders["at"]) / DAY
    weekend = ((orders["at"] // DAY + 4) % 7 >= 4).astype(float)
    odds = (
        0.4 - 0.55 * lead + 0.2 * orders["lines"] + place + 0.6 * weekend + 3.0 * truth["held"] + 1.2 * orders["short"]
    )
    late = 1 / (1 + np.exp(-odds))
    drawn = chance.random(n) < late
    behind = np.where(drawn, chance.exponential(2.0, n) + 0.1, -chance.uniform(0.05, 0.9, n) * lead)
    left = np.maximum(orders["requested"] + (behind - 1) * DAY, orders["at"] + 3600)
    delivered = orders["requested"] + behind * DAY
    order = np.argsort(left, kind="stable")
    shipments = {
        "order": orders["number"][order],
        "customer": orders["customer"][order],
        "warehouse": orders["warehouse"][order],
        "at": left[order],
        "delivered": delivered[order],
        "requested": orders["requested"][order],
    }
    return shipments, late


def _purchases(chance: np.random.Generator, size: Size) -> tuple[Table, dict[str, Array]]:
    """Suppliers are late and wrong as they are; long lead times and large orders make it worse."""
    n = max(size.orders // 5, 400)
    at = np.sort(START + chance.uniform(0, size.days, n) * DAY)
    who = chance.integers(0, size.suppliers, n)
    tardy, careless = chance.normal(0, 1.1, size.suppliers), chance.normal(0, 0.9, size.suppliers)
    risk = np.where(tardy > 0.8, "high", np.where(tardy > 0, "medium", "low")).astype(object)
    lead = np.maximum(2, chance.normal(12, 5, n))
    quantity = np.round(chance.lognormal(5, 0.8, n))
    item = chance.integers(0, size.items, n)
    where = chance.integers(0, 3, n)
    odds = -2.0 + tardy[who] + 0.9 * np.log(quantity / 150) - 0.16 * (lead - 12) + np.array([0.0, 0.4, 1.2])[where]
    late = 1 / (1 + np.exp(-odds))
    behind = np.where(chance.random(n) < late, chance.exponential(5, n) + 1, -chance.exponential(0.7, n))
    wrong = 1 / (1 + np.exp(-(-3.0 + careless[who] + 0.2 * np.log(quantity / 150))))
    differs = (chance.random(n) < wrong).astype(float)
    expected = at + lead * DAY
    received = expected + behind * DAY
    arrived = np.where(differs > 0, np.round(quantity * chance.choice([0.7, 0.9, 1.1], n)), quantity)
    end = START + size.days * DAY
    there = received < end
    table = {
        "number": np.array([f"PO-{i}" for i in range(n)], dtype=object),
        "supplier": np.array([f"V{i:03d}" for i in who], dtype=object),
        "sku": np.array([f"SIM-{i:05d}" for i in item], dtype=object),
        "category": CATEGORIES[item % 6],
        "warehouse": WAREHOUSES[where],
        "risk": risk[who],
        "at": at,
        "expected": expected,
        "received": np.where(there, received, np.nan),
        "quantity": quantity,
        "arrived": np.where(there, arrived, np.nan),
        "value": quantity * chance.lognormal(1.5, 0.7, n),
        "differs": np.where(there, differs, np.nan),
    }
    return table, {"supply_late": late, "differs": wrong}


def _levels(chance: np.random.Generator, size: Size, lines: Table) -> Table:
    """Stock by the day of the items that move most, under (s, S) replenishment with uncertain lead times."""
    pairs, first = np.unique(
        np.array([f"{w}|{s}" for w, s in zip(lines["warehouse"], lines["sku"], strict=True)]), return_inverse=True
    )
    wanted = np.zeros((len(pairs), size.days))
    day = np.clip(((lines["at"] - START) // DAY).astype(int), 0, size.days - 1)
    np.add.at(wanted, (first, day), lines["quantity"])
    busiest = np.argsort(-wanted.sum(axis=1))[: min(300, len(pairs))]
    wanted, pairs = wanted[busiest], pairs[busiest]
    mean = wanted.mean(axis=1)
    stock, coming = mean * 20, np.zeros((len(pairs), size.days + 40))
    point = mean * chance.uniform(6, 14, len(pairs))
    kept, inbound = np.zeros_like(wanted), np.zeros_like(wanted)
    for today in range(size.days):
        stock = stock + coming[:, today]
        stock = np.maximum(stock - wanted[:, today], 0)
        ahead = coming[:, today + 1 :].sum(axis=1)
        low = stock + ahead < point
        days = np.maximum(2, np.round(chance.normal(8, 3, len(pairs)))).astype(int)
        coming[np.flatnonzero(low), today + days[low]] += (mean * 18)[low]
        kept[:, today], inbound[:, today] = stock, coming[:, today + 1 :].sum(axis=1)
    place = np.array([x.split("|") for x in pairs], dtype=object)
    days_at = START + (np.arange(size.days) + 1) * DAY
    category = CATEGORIES[np.array([int(x[4:]) % 6 for x in place[:, 1]])]
    return {
        "warehouse": np.repeat(place[:, 0], size.days),
        "sku": np.repeat(place[:, 1], size.days),
        "category": np.repeat(category, size.days),
        "at": np.tile(days_at, len(pairs)),
        "on_hand": kept.ravel(),
        "inbound": inbound.ravel(),
    }
