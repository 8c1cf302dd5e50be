"""How far an order may still be changed, and who must be asked when it is late. Values in, values out."""

from __future__ import annotations

from dataclasses import dataclass

from erp_core.values import CHANGEABLE_ORDER_STATUSES, OrderStatus, Queue


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
