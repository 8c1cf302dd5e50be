"""Orders on their way out: what may leave, what is late, what waits for stock."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from erp_core.rules.allocation import Waiting

WAITING = """
SELECT o.number, l.line, o.warehouse, l.sku, l.quantity_base - l.quantity_allocated - l.quantity_shipped, c.tier, c.ships_partial,
  o.expedited, o.requested_date, o.ordered_at,
  CASE WHEN l.unit_price > 0 THEN round((1 - i.unit_cost * l.quantity_base / (l.unit_price * l.quantity_ordered)) * 100, 1) ELSE -100 END
FROM order_line l JOIN sales_order o ON o.number = l.order_number JOIN customer c ON c.code = o.customer JOIN item i ON i.sku = l.sku
WHERE l.quantity_base > l.quantity_allocated + l.quantity_shipped AND o.status IN ('validated', 'allocated', 'released')
  AND (:all_skus OR o.number IN (SELECT order_number FROM order_line WHERE sku = ANY(:skus)
    AND quantity_base > quantity_allocated + quantity_shipped))
  AND (cast(:warehouse AS text) IS NULL OR o.warehouse = :warehouse)
  AND NOT EXISTS (SELECT FROM hold h WHERE h.order_number = o.number AND h.released_at IS NULL AND h.reason = ANY(:keeping)
    AND (h.line IS NULL OR h.line = l.line OR NOT c.ships_partial))
ORDER BY o.number, l.line
"""
FREE = """
SELECT warehouse, sku, quantity_free FROM stock_level
WHERE sku = ANY(:skus) AND (cast(:warehouse AS text) IS NULL OR warehouse = :warehouse)
  AND quantity_free > 0
ORDER BY warehouse, sku
"""
OVERVIEW = """
SELECT l.sku, i.name, o.warehouse, count(*) AS lines, sum(l.quantity_base - l.quantity_allocated - l.quantity_shipped) AS quantity,
  min(o.ordered_at) AS since, sum((l.quantity_base - l.quantity_allocated - l.quantity_shipped) * l.unit_price * l.quantity_ordered
  / l.quantity_base) AS value
FROM order_line l JOIN sales_order o ON o.number = l.order_number JOIN item i ON i.sku = l.sku
WHERE l.quantity_base > l.quantity_allocated + l.quantity_shipped AND o.status IN ('entered', 'validated', 'allocated', 'released')
GROUP BY l.sku, i.name, o.warehouse ORDER BY value DESC LIMIT :limit
"""
RELEASED = """
SELECT o.number, o.customer, c.name, o.warehouse, o.requested_date, o.expedited, o.picked_at, o.packed_at,
  sum(l.quantity_released * l.unit_price * l.quantity_ordered / nullif(l.quantity_base, 0)) AS value, count(*) AS lines
FROM sales_order o JOIN order_line l ON l.order_number = o.number AND l.quantity_released > 0 JOIN customer c ON c.code = o.customer
WHERE o.status = 'released' GROUP BY o.number, c.name
ORDER BY o.expedited DESC, o.requested_date NULLS LAST, o.number LIMIT :limit
"""
AT_RISK = """
SELECT o.number, o.customer, c.name, o.warehouse, o.requested_date, o.status,
  (SELECT string_agg(DISTINCT h.reason, ', ') FROM hold h WHERE h.order_number = o.number AND h.released_at IS NULL) AS holds,
  sum(l.unit_price * l.quantity_ordered) AS value
FROM sales_order o JOIN order_line l ON l.order_number = o.number JOIN customer c ON c.code = o.customer
WHERE o.status IN ('entered', 'validated', 'allocated', 'released') AND o.requested_date <= :until
GROUP BY o.number, c.name ORDER BY o.requested_date, value DESC LIMIT :limit
"""


def waiting(session: Session, skus: Sequence[str], warehouse: str | None, keeping: Sequence[str]) -> list[Waiting]:
    """Lines that lack stock; with `skus`, all such lines of the orders that lack one of them.

    `keeping` are hold reasons whose policy binds no stock: such orders do not wait for any.
    """
    parameters = {"all_skus": not skus, "skus": list(skus), "warehouse": warehouse, "keeping": list(keeping)}
    rows = session.execute(text(WAITING), parameters)
    return [
        Waiting(number, line, place, sku, need, tier, partial, expedited, wanted, ordered, margin)
        for number, line, place, sku, need, tier, partial, expedited, wanted, ordered, margin in rows
    ]


def free(session: Session, skus: Sequence[str], warehouse: str | None) -> dict[tuple[str, str], Decimal]:
    """Unbound stock by warehouse and item."""
    rows = session.execute(text(FREE), {"skus": list(skus), "warehouse": warehouse})
    return {(place, sku): quantity for place, sku, quantity in rows}


def overview(session: Session, limit: int = 200) -> list[dict[str, Any]]:
    """Backorders by item and warehouse: lines, quantity, value, and since when; the most valuable first."""
    return [dict(row._mapping) for row in session.execute(text(OVERVIEW), {"limit": limit})]


def released(session: Session, limit: int = 200) -> list[dict[str, Any]]:
    """What warehouses may work on now: expedited first, then by requested date."""
    return [dict(row._mapping) for row in session.execute(text(RELEASED), {"limit": limit})]


LOAD = """
SELECT w.code, w.name, w.capacity, count(o.number) AS released, count(o.number) FILTER (WHERE o.picked_at IS NULL) AS to_pick,
  count(o.number) FILTER (WHERE o.picked_at IS NOT NULL AND o.packed_at IS NULL) AS picked,
  count(o.number) FILTER (WHERE o.packed_at IS NOT NULL) AS packed, min(o.requested_date) AS first_wanted,
  (SELECT count(*) FROM hold h JOIN sales_order x ON x.number = h.order_number WHERE x.warehouse = w.code AND h.released_at IS NULL
    AND h.problem ->> 'code' LIKE '%warehouse_full%') AS kept_out
FROM warehouse w LEFT JOIN sales_order o ON o.warehouse = w.code AND o.status = 'released' GROUP BY w.code ORDER BY w.code
"""


def load(session: Session) -> list[dict[str, Any]]:
    """How busy each warehouse is: orders to pick, picked, packed, what it can take, and what a full one keeps out."""
    return [dict(row._mapping) for row in session.execute(text(LOAD))]


def at_risk(session: Session, until: date, limit: int = 200) -> list[dict[str, Any]]:
    """Open orders wanted by `until`, with what stops them: listed before they fail."""
    return [dict(row._mapping) for row in session.execute(text(AT_RISK), {"until": until, "limit": limit})]
