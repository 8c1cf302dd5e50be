"""What a distributor has lived through, in columns: the one form in which models see an installation's past, or a simulated one.

Times are seconds since 1970 and NaN where nothing happened yet; amounts are in the customer's currency, quantities in base units.
`erp_core.queries.learning` fills it from the database, `ml.simulated` from chance.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.asof import Array

Table = dict[str, Array]

# what each table holds; the facts of an order are those that stood at its entry
COLUMNS: dict[str, tuple[str, ...]] = {
    "orders": (
        "number", "customer", "warehouse", "channel", "tier", "segment", "at", "requested", "value", "lines", "limit", "exposure",
        "overdue", "terms", "margin", "price_off", "quantity_off", "short", "abroad", "held", "closed", "cancelled", "entered",
    ),
    "order_lines": ("order", "customer", "po", "warehouse", "sku", "category", "at", "quantity", "price", "list_price", "cost",
                    "expected_price"),
    "holds": ("order", "customer", "at", "reason"),
    "invoices": ("number", "order", "customer", "at", "due", "paid", "amount"),
    "shipments": ("order", "customer", "warehouse", "at", "delivered", "requested"),
    "purchases": (
        "number", "supplier", "sku", "category", "warehouse", "risk", "at", "expected", "received", "quantity", "arrived", "value", "differs",
    ),
    "levels": ("warehouse", "sku", "category", "at", "on_hand", "inbound"),
    "cases": ("id", "queue", "kind", "priority", "tier", "customer", "worth", "at", "due", "ends", "closed", "cause"),
}  # fmt: skip
WORDS = {"number", "customer", "warehouse", "channel", "tier", "segment", "order", "sku", "category", "reason", "supplier", "risk", "queue",
         "kind", "id", "cause", "priority", "po"}  # fmt: skip


@dataclass
class History:
    """Tables by name. `now` is the moment it was looked at; `source` says whose past it is. `truth`: what a simulator alone knows."""

    tables: dict[str, Table]
    now: float
    source: str
    truth: dict[str, Array]

    def __getitem__(self, name: str) -> Table:
        return self.tables[name]

    @property
    def digest(self) -> str:
        """SHA-256 of everything in it: which data a model was trained on."""
        whole = hashlib.sha256()
        for name in sorted(self.tables):
            for column in sorted(self.tables[name]):
                values = self.tables[name][column]
                raw = "\n".join(map(str, values)).encode() if values.dtype == object else values.tobytes()
                whole.update(f"{name}.{column}:".encode() + raw)
        return whole.hexdigest()


def table(name: str, columns: Mapping[str, Sequence[Any]]) -> Table:
    """A table in the types of its columns. Raises KeyError for a column that is not there."""
    return {
        column: np.array(columns[column], dtype=object)
        if column in WORDS
        else np.array([np.nan if x is None else x for x in columns[column]], dtype=np.float64)
        for column in COLUMNS[name]
    }


def history(rows: Mapping[str, Mapping[str, Sequence[Any]]], now: float, source: str) -> History:
    """A history of what was read; tables that are missing are empty."""
    made = {name: table(name, rows.get(name) or {column: [] for column in COLUMNS[name]}) for name in COLUMNS}
    return History(made, now, source, {})


def take(rows: Table, which: Array) -> Table:
    """The rows of a table that `which` (mask or numbers) names."""
    return {name: column[which] for name, column in rows.items()}
