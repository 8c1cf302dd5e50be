"""Supply as it stands: what is on its way, when waiting lines are covered, whom a change hurts, what else could be done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from erp_core.policy import Policy
from erp_core.queries import fulfilment
from erp_core.rules import supply as rules
from erp_core.rules.allocation import Waiting
from erp_core.rules.stock import Inbound
from erp_core.rules.supply import Demand, Elsewhere, Hurt, Instead, Option, OtherSource

Place = tuple[str, str]

INBOUND = """
SELECT l.sku, o.warehouse, o.number, coalesce(l.expected_date, o.expected_date), l.quantity - l.quantity_received - l.quantity_damaged
FROM purchase_order_line l JOIN purchase_order o ON o.number = l.order_number
WHERE l.sku = ANY(:skus) AND o.status IN ('approved', 'sent', 'acknowledged', 'receiving')
  AND l.quantity > l.quantity_received + l.quantity_damaged
UNION ALL SELECT sku, target, number, expected_date, CASE WHEN status = 'shipped' THEN quantity_shipped ELSE quantity END
FROM transfer WHERE sku = ANY(:skus) AND status IN ('ordered', 'shipped')
ORDER BY 4, 3
"""
ORDERS = """
SELECT o.number, o.customer, c.name AS customer_name, c.tier, o.requested_date, o.promised_date,
  sum(l.unit_price * l.quantity_ordered) AS value FROM sales_order o JOIN customer c ON c.code = o.customer
JOIN order_line l ON l.order_number = o.number WHERE o.number = ANY(:numbers) GROUP BY o.number, c.name, c.tier
"""
LACKING = """
SELECT order_number, line, quantity_base - quantity_allocated - quantity_shipped FROM order_line WHERE order_number = ANY(:numbers)
"""
ELSEWHERE = """
SELECT s.warehouse, s.quantity_free, w.entity <> h.entity FROM stock_level s JOIN warehouse w ON w.code = s.warehouse
JOIN warehouse h ON h.code = :warehouse WHERE s.sku = :sku AND s.warehouse <> :warehouse AND s.quantity_free > 0
ORDER BY w.entity <> h.entity, s.quantity_free DESC, s.warehouse
"""
INSTEAD = """
SELECT i.sku, s.quantity_free, i.unit_cost, b.customer_approval_required FROM substitute b JOIN item i ON i.sku = b.substitute_sku
JOIN stock_level s ON s.sku = i.sku AND s.warehouse = :warehouse
WHERE b.sku = :sku AND i.status = 'active' AND s.quantity_free > 0 ORDER BY b.priority
"""
SOURCES = """
SELECT p.supplier, p.unit_cost, coalesce(p.lead_time_days, s.lead_time_days) FROM item_source p JOIN supplier s ON s.code = p.supplier
WHERE p.sku = :sku AND s.status = 'active' AND p.supplier IS DISTINCT FROM :but ORDER BY p.priority, p.supplier
"""


def inbound(session: Session, skus: Iterable[str]) -> dict[Place, list[Inbound]]:
    """What is on its way by (item, warehouse), soonest first: open purchase orders and transfers between warehouses."""
    found: dict[Place, list[Inbound]] = {}
    for sku, warehouse, number, expected, quantity in session.execute(text(INBOUND), {"skus": sorted(set(skus))}):
        found.setdefault((sku, warehouse), []).append(Inbound(number, expected, quantity))
    return found


@dataclass(frozen=True)
class WhatIf:
    """A purchase order that comes on another day, all of it or some goods, or of which less of an item would still come."""

    purchase_order: str
    day: date | None = None
    days: Mapping[str, date] = field(default_factory=dict)
    open_quantity: Mapping[str, Decimal] = field(default_factory=dict)

    def of(self, sku: str, known: Inbound) -> Inbound:
        """What is on its way, seen so."""
        if known.purchase_order != self.purchase_order:
            return known
        quantity = min(self.open_quantity.get(sku, known.quantity), known.quantity)
        return Inbound(known.purchase_order, self.days.get(sku, self.day) or known.expected, quantity)


def coverage(
    session: Session,
    skus: Sequence[str],
    warehouse: str,
    policy: Policy,
    today: date,
    instead: WhatIf | None = None,
) -> dict[Place, dict[rules.Key, date | None]]:
    """When each waiting line of items at a warehouse is covered, by (item, warehouse), or would be under another supply."""
    waiting: dict[str, list[Waiting]] = {}
    for line in fulfilment.waiting(session, skus, warehouse, ()) if skus else ():
        waiting.setdefault(line.sku, []).append(line)
    known, free = inbound(session, waiting), fulfilment.free(session, sorted(waiting), warehouse)
    coming = {place: [instead.of(place[0], i) if instead else i for i in listed] for place, listed in known.items()}
    return {
        (sku, warehouse): rules.cover(
            lines,
            free.get((warehouse, sku), Decimal(0)),
            coming.get((sku, warehouse), ()),
            policy.allocation,
            today,
            policy.supply.late_days,
        )
        for sku, lines in waiting.items()
    }


@dataclass(frozen=True)
class Affected:
    """An order that a change of supply makes later, with who and what it is worth."""

    order: str
    line: int
    sku: str
    customer: str
    customer_name: str
    tier: str
    value: Decimal
    lacking: Decimal
    promised: date | None
    before: date | None
    after: date | None

    @property
    def breaks_promise(self) -> bool:
        """Whether a date that was promised can no longer be kept."""
        return self.promised is not None and (self.after is None or self.after > self.promised)


def worth(hurt: Iterable[Affected]) -> Decimal:
    """What the orders concerned are worth, each once."""
    return sum((a.value for a in {a.order: a for a in hurt}.values()), Decimal(0))


def affected(
    session: Session,
    before: Mapping[Place, Mapping[rules.Key, date | None]],
    after: Mapping[Place, Mapping[rules.Key, date | None]],
) -> list[Affected]:
    """Orders that became later, item by item: the most valuable first."""
    hurt: list[tuple[str, Hurt]] = [
        (sku, one)
        for (sku, warehouse), was in before.items()
        for one in rules.hurt(was, after.get((sku, warehouse), {}))
    ]
    numbers = sorted({one.order for _, one in hurt})
    orders = {row.number: row for row in session.execute(text(ORDERS), {"numbers": numbers})}
    lacking = {(row[0], row[1]): row[2] for row in session.execute(text(LACKING), {"numbers": numbers})}
    found = [_affected(orders[one.order], sku, one, lacking[one.order, one.line]) for sku, one in hurt]
    return sorted(found, key=lambda a: (-a.value, a.order, a.line))


def _affected(order: Any, sku: str, one: Hurt, lacking: Decimal) -> Affected:
    return Affected(
        one.order,
        one.line,
        sku,
        order.customer,
        order.customer_name,
        order.tier,
        order.value,
        lacking,
        order.promised_date,
        one.before,
        one.after,
    )


def options(
    session: Session,
    sku: str,
    warehouse: str,
    missing: Decimal,
    policy: Policy,
    today: date,
    but: str | None = None,
) -> list[Option]:
    """What can be done about missing goods: transfers, substitutes, other suppliers (without `but`), haste; each with its cost."""
    place = {"sku": sku, "warehouse": warehouse}
    cost = Decimal(session.execute(text("SELECT unit_cost FROM item WHERE sku = :sku"), {"sku": sku}).scalar_one())
    return rules.options(
        sku,
        missing,
        cost,
        [Elsewhere(*row) for row in session.execute(text(ELSEWHERE), place)],
        [Instead(*row) for row in session.execute(text(INSTEAD), place)],
        [OtherSource(*row) for row in session.execute(text(SOURCES), {"sku": sku, "but": but})],
        policy.supply,
        today,
    )


DEMAND = """
WITH sold AS (SELECT l.sku, o.warehouse, (o.ordered_at AT TIME ZONE 'UTC')::date AS day, sum(l.quantity_base) AS quantity
  FROM order_line l JOIN sales_order o ON o.number = l.order_number
  WHERE o.status <> 'cancelled' AND o.ordered_at >= :since AND o.ordered_at < :until GROUP BY 1, 2, 3),
 spread AS (SELECT sku, warehouse, sum(quantity) / :days AS daily,
   sqrt(greatest(sum(quantity * quantity) / :days - (sum(quantity) / :days) ^ 2, 0)) AS deviation FROM sold GROUP BY sku, warehouse),
 waiting AS (SELECT l.sku, o.warehouse, sum(l.quantity_base - l.quantity_allocated - l.quantity_shipped) AS quantity
   FROM order_line l JOIN sales_order o ON o.number = l.order_number WHERE o.status IN ('validated', 'allocated', 'released')
   AND l.quantity_base > l.quantity_allocated + l.quantity_shipped GROUP BY l.sku, o.warehouse),
 coming AS (SELECT l.sku, o.warehouse, sum(l.quantity - l.quantity_received - l.quantity_damaged) AS quantity
   FROM purchase_order_line l JOIN purchase_order o ON o.number = l.order_number
   WHERE o.status IN ('draft', 'approved', 'sent', 'acknowledged', 'receiving')
   AND l.quantity > l.quantity_received + l.quantity_damaged GROUP BY l.sku, o.warehouse
   UNION ALL SELECT sku, target, quantity FROM transfer WHERE status IN ('ordered', 'shipped'))
SELECT s.sku, s.warehouse, i.name, p.supplier, p.unit_cost, coalesce(d.daily, 0), coalesce(d.deviation, 0), s.quantity_free,
  coalesce(w.quantity, 0), coalesce(c.quantity, 0), coalesce(p.lead_time_days, u.lead_time_days), coalesce(v.spread, 0), p.pack_size,
  p.minimum_quantity
FROM stock_level s JOIN item i ON i.sku = s.sku AND i.status = 'active'
JOIN LATERAL (SELECT * FROM item_source x WHERE x.sku = s.sku ORDER BY priority, supplier LIMIT 1) p ON true
JOIN supplier u ON u.code = p.supplier AND u.status = 'active'
LEFT JOIN spread d ON d.sku = s.sku AND d.warehouse = s.warehouse
LEFT JOIN waiting w ON w.sku = s.sku AND w.warehouse = s.warehouse
LEFT JOIN (SELECT sku, warehouse, sum(quantity) AS quantity FROM coming GROUP BY sku, warehouse) c
  ON c.sku = s.sku AND c.warehouse = s.warehouse
LEFT JOIN (SELECT supplier, stddev_samp(days) AS spread FROM (SELECT o.supplier, min(r.received_at)::date - o.ordered_at AS days
  FROM purchase_order o JOIN receipt r ON r.purchase_order = o.number WHERE o.ordered_at >= :year GROUP BY o.number) z GROUP BY supplier) v ON v.supplier = p.supplier
WHERE d.daily > 0 OR w.quantity > 0
ORDER BY s.warehouse, p.supplier, s.sku
"""


@dataclass(frozen=True)
class Need:
    """An item that should be bought for a warehouse: where, how much, and the demand that says so."""

    sku: str
    name: str
    warehouse: str
    supplier: str
    unit_cost: Decimal
    quantity: Decimal
    reorder_point: Decimal
    demand: Demand
    foreseen: bool = False  # by the demand model rather than by sales so far


def needs(session: Session, policy: Policy, today: date) -> list[Need]:
    """What to buy now, by warehouse and supplier; drafts count as on their way, so that nothing is asked for twice."""
    days = policy.supply.history_days
    parameters = {
        "since": today - timedelta(days=days),
        "until": today + timedelta(days=1),
        "days": days,
        "year": today - timedelta(days=365),
    }
    found, expected = [], _foreseen(session, today)
    for sku, warehouse, name, supplier, cost, *rest in session.execute(text(DEMAND), parameters):
        demand = Demand(*(int(x) if n == 5 else Decimal(str(x)) for n, x in enumerate(rest)))  # type: ignore[arg-type]
        foreseen = expected.get(f"stock:{warehouse}:{sku}")
        if foreseen is not None:
            demand = replace(demand, daily=foreseen.daily, spread=foreseen.spread)
        quantity = rules.to_buy(demand, policy.supply)
        if quantity > 0:
            point = rules.reorder_point(demand, policy.supply)
            found.append(Need(sku, name, warehouse, supplier, cost, quantity, point, demand, foreseen is not None))
    return found


@dataclass(frozen=True)
class Foreseen:
    """Sales a day that the demand model expects, with their spread."""

    daily: Decimal
    spread: Decimal


FORESEEN = """
SELECT DISTINCT ON (p.subject) p.subject, p.value, p.low, p.high FROM prediction p JOIN model_version v ON v.id = p.version
WHERE p.use = 'champion' AND p.question = 'demand_28' AND v.source = 'own' AND p.low IS NOT NULL
 AND p.asked_at >= cast(:today AS date) - 2 ORDER BY p.subject, p.id DESC"""
DAYS, EIGHTY = 28, 2.5631  # an interval that holds 80 of 100 is so many standard deviations wide


def _foreseen(session: Session, today: date) -> dict[str, Foreseen]:
    """What a model that learned from our own past expects of each shelf; one from a simulated past buys nothing."""
    return {
        subject: Foreseen(Decimal(f"{value / DAYS:.6f}"), Decimal(f"{max(high - low, 0) / EIGHTY / DAYS**0.5:.6f}"))
        for subject, value, low, high in session.execute(text(FORESEEN), {"today": today})
    }


INTERCOMPANY = """
SELECT t.entity AS buyer, s.entity AS seller, e.currency, count(*) AS transfers,
  sum(round(x.price * x.quantity_shipped / x.quantity, 2)) AS amount
FROM transfer x JOIN warehouse s ON s.code = x.source JOIN warehouse t ON t.code = x.target
JOIN entity e ON e.code = s.entity
WHERE x.intercompany AND x.status IN ('shipped', 'received') AND x.shipped_at >= :since
GROUP BY t.entity, s.entity, e.currency ORDER BY 5 DESC
"""


def intercompany(session: Session, since: datetime) -> list[dict[str, Any]]:
    """What our firms bill each other for goods that left one for the other: buyer, seller, its currency, transfers, amount."""
    return [dict(row._mapping) for row in session.execute(text(INTERCOMPANY), {"since": since})]


def entities(session: Session) -> dict[str, str]:
    """Our firms, by code."""
    return {row[0]: row[1] for row in session.execute(text("SELECT code, name FROM entity ORDER BY code"))}
