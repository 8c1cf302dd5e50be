"""A seeded distributor to simulate: written as an import folder, so that it comes in through the door that every world takes."""

from __future__ import annotations

import csv
import math
import random
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

CATEGORIES = ("fasteners", "bearings", "valves", "electrical", "safety", "janitorial")
WORDS = (
    "Anchor",
    "Bearing",
    "Valve",
    "Relay",
    "Glove",
    "Cleaner",
    "Bushing",
    "Coupling",
    "Switch",
    "Filter",
    "Hinge",
    "Gasket",
)
PLACES = (
    "North",
    "River",
    "Harbor",
    "Summit",
    "Prairie",
    "Canyon",
    "Lake",
    "Cedar",
    "Granite",
    "Mesa",
    "Bay",
    "Forest",
)
TRADES = (
    "Fabrication",
    "Foods",
    "Electric",
    "Schools",
    "Hospital",
    "Machine",
    "Plumbing",
    "Builders",
    "Logistics",
    "Water",
)
SUPPLIERS = 8
CHANNELS = (("edi", 0.4), ("portal", 0.2), ("email", 0.2), ("sales_rep", 0.1), ("ecommerce", 0.1))


@dataclass(frozen=True)
class Buyer:
    """A customer's habits: orders a day, size of an order, how late it pays (days, with its spread), when it buys most."""

    code: str
    rate: float
    lines: float
    late: float
    spread: float
    season: float
    skus: tuple[str, ...]
    warehouse: str


@dataclass(frozen=True)
class Source:
    """Where an item comes from: supplier, lead time in days with its spread, how much comes at once, and what it costs."""

    sku: str
    supplier: str
    lead: float
    spread: float
    batch: int
    cost: float


@dataclass(frozen=True)
class Distributor:
    """Everything the simulator knows beforehand."""

    start: date
    buyers: list[Buyer]
    sources: dict[str, Source]
    warehouses: tuple[str, ...]


def write(folder: Path, seed: int, start: date, customers: int = 300, items: int = 800) -> Distributor:
    """Write the world as CSV files and return its habits. The same seed gives the same world."""
    chance = random.Random(f"world {seed}")  # noqa: S311 - a repeatable world
    warehouses = ("SIM-E", "SIM-C", "SIM-W")
    prices = [round(math.exp(chance.uniform(0.5, 5)), 2) for _ in range(items)]
    skus = [f"SIM-{number:04d}" for number in range(items)]
    buyers = [_buyer(number, chance, skus, warehouses) for number in range(customers)]
    suppliers = {f"SUP-{n}": (chance.uniform(4, 21), chance.uniform(0.5, 6)) for n in range(SUPPLIERS)}
    costs = [round(price * chance.uniform(0.55, 0.8), 4) for price in prices]
    sources = {
        sku: Source(
            sku,
            supplier := chance.choice(sorted(suppliers)),
            *suppliers[supplier],
            chance.choice((100, 200, 400, 800)),
            cost,
        )
        for sku, cost in zip(skus, costs, strict=True)
    }
    since = (start - timedelta(days=400)).isoformat()
    _file(folder, "entities", ["code", "name", "currency", "country"], [["SIM", "Simulated Supply", "USD", "US"]])
    _file(
        folder,
        "warehouses",
        ["code", "entity", "name", "country", "region"],
        [[code, "SIM", f"Warehouse {code}", "US", ""] for code in warehouses],
    )
    _file(
        folder,
        "customers",
        [
            "code",
            "entity",
            "name",
            "tier",
            "segment",
            "payment_terms_days",
            "credit_limit",
            "currency",
            "country",
            "email_domain",
            "status",
        ],
        [_customer(buyer, number, chance) for number, buyer in enumerate(buyers)],
    )
    _file(
        folder,
        "items",
        ["sku", "name", "uom", "units_per_case", "category", "list_price", "unit_cost", "export_class", "hazmat", "status"],
        [
            [sku, f"{chance.choice(WORDS)} {number}", "EA", 12, chance.choice(CATEGORIES), price, costs[number],
             "EAR99", str(chance.random() < 0.03).lower(), "active"]
            for number, (sku, price) in enumerate(zip(skus, prices, strict=True))
        ],
    )  # fmt: skip
    by_sku = dict(zip(skus, prices, strict=True))
    agreed = [
        [buyer.code, sku, 1, round(by_sku[sku] * chance.uniform(0.88, 0.98), 2), since, ""]
        for buyer in buyers
        for sku in chance.sample(buyer.skus, min(6, len(buyer.skus)))
    ]
    _file(folder, "prices", ["customer", "sku", "min_quantity", "unit_price", "valid_from", "valid_to"], agreed)
    levels = [[place, sku, chance.randint(1, 4) * sources[sku].batch] for place in warehouses for sku in skus]
    _file(
        folder,
        "suppliers",
        ["code", "name", "lead_time_days", "risk", "email_domain"],
        [[code, f"Supplier {code}", round(lead), "low", ""] for code, (lead, _) in suppliers.items()],
    )
    _file(
        folder,
        "item_sources",
        ["sku", "supplier", "priority", "unit_cost", "pack_size", "minimum_quantity", "lead_time_days"],
        [[s.sku, s.supplier, 1, s.cost, 1, s.batch, ""] for s in sources.values()],
    )
    _file(folder, "stock", ["warehouse", "sku", "on_hand"], levels)
    return Distributor(start, buyers, sources, warehouses)


def _buyer(number: int, chance: random.Random, skus: list[str], warehouses: tuple[str, ...]) -> Buyer:
    slow = chance.random() < 0.2
    return Buyer(
        code=f"S{number:04d}",
        rate=chance.lognormvariate(0, 0.8),
        lines=chance.uniform(1, 5),
        late=chance.uniform(10, 35) if slow else chance.uniform(-5, 6),
        spread=chance.uniform(1, 8),
        season=chance.uniform(0, 365),
        skus=tuple(sorted(chance.sample(skus, chance.randint(8, 40)))),
        warehouse=chance.choice(warehouses),
    )


def _customer(buyer: Buyer, number: int, chance: random.Random) -> list[Any]:
    name = f"{PLACES[number % 12]} {TRADES[number // 12 % 10]} {number}"
    limit = round(buyer.rate * buyer.lines * chance.choice((6_000, 12_000, 30_000)), -2)
    tier = "A" if buyer.rate > 2 else "B" if buyer.rate > 0.8 else "C"
    return [
        buyer.code,
        "SIM",
        name,
        tier,
        chance.choice(TRADES).lower(),
        30,
        limit,
        "USD",
        "US",
        f"s{number}.example",
        "active",
    ]


def _file(folder: Path, name: str, columns: list[str], rows: list[list[Any]]) -> None:
    with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
