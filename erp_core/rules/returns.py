"""Returns: what may come back, what becomes of it, and what it costs. Values in, values out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from erp_core.errors import Problem
from erp_core.policy import ReturnPolicy
from erp_core.values import Disposition, ReturnReason, money, plain


@dataclass(frozen=True, slots=True)
class ShippedLine:
    """A line as it left, in base units; `returned` counts what is on its way back or back already."""

    line: int
    sku: str
    shipped: Decimal
    returned: Decimal
    wanted: Decimal


def problems(lines: Sequence[ShippedLine], delivered_on: date | None, on: date, policy: ReturnPolicy) -> list[Problem]:
    """Why goods may not come back: too late, or more than was delivered."""
    found = []
    if delivered_on is not None and delivered_on + timedelta(days=policy.days) < on:
        text = f"Delivered on {delivered_on.isoformat()}; goods come back within {policy.days} days."
        found.append(Problem("return_too_late", text, {"delivered": delivered_on.isoformat(), "days": policy.days}))
    for line in lines:
        left = line.shipped - line.returned
        if line.wanted > left:
            text = f"Line {line.line}: {plain(line.wanted)} of {line.sku} are to come back, {plain(max(left, Decimal(0)))} can."
            found.append(Problem("more_than_delivered", text, {"line": line.line, "left": plain(left)}))
    return found


def disposition(reason: ReturnReason, policy: ReturnPolicy) -> Disposition:
    """What becomes of the goods unless who looked at them says otherwise."""
    return policy.disposition[reason]


def credit(amount: Decimal, reason: ReturnReason, policy: ReturnPolicy) -> Decimal:
    """What is given back of the amount billed: all of it less restocking."""
    return money(amount * (100 - policy.restocking_percent[reason]) / 100)
