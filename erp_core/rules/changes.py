"""How far an order may still be changed, and who must be asked when it is late. Values in, values out."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from erp_core.policy import Policy
from erp_core.values import CHANGEABLE_ORDER_STATUSES, OrderStatus, Queue, ReturnReason, money


@dataclass(frozen=True, slots=True)
class Late:
    """Why an order cannot simply be changed; `queue` is whom to ask, None when there is nobody to ask."""

    code: str
    text: str
    queue: Queue | None


def too_late(number: str, status: str, *, picked: bool) -> Late | None:
    """None while the order can simply be changed."""
    if status in (OrderStatus.SHIPPED, OrderStatus.INVOICED):
        text = f"{number} is {status}: the goods have left; what is not wanted comes back as a return."
        return Late("already_shipped", text, Queue.RETURNS)
    if status not in CHANGEABLE_ORDER_STATUSES:
        return Late("order_ended", f"{number} is {status}; it can no longer be changed.", None)
    if picked:
        text = f"{number} is picked: the warehouse must put the goods back on the shelf before it can be changed."
        return Late("already_picked", text, Queue.WAREHOUSE)
    return None


def cost(late: Late | None, lines: int, value: Decimal, policy: Policy) -> Decimal:
    """What a change of so many lines costs us now, in the order's currency: nothing while the goods are on the shelf.

    Picked lines are carried back. What has left, worth `value`, travels back and is restocked.
    """
    if late is None or late.queue is None:
        return Decimal(0)
    if late.queue == Queue.WAREHOUSE:
        return money(policy.changes.reshelve_per_line * lines)
    percent = policy.changes.return_freight_percent + policy.returns.restocking_percent[ReturnReason.NO_LONGER_NEEDED]
    return money(value * percent / 100)
