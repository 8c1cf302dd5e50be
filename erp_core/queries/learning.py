"""What models learn from and are asked with: the house's past in plain columns, each fact with the moment it became known.

Times are seconds since 1970. `Wanted` narrows to what a question needs; without it the whole past is read. The facts of an order are those
that were kept with it at its entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

Columns = dict[str, list[Any]]
YEAR = timedelta(days=400)


@dataclass(frozen=True)
class Wanted:
    """Of whom: these customers over a year; these items and warehouses for as long before the earliest order asked about as features look back;
    and whole orders of other customers."""

    customers: Sequence[str] = ()
    warehouses: Sequence[str] = ()
    skus: Sequence[str] = ()
    others: Sequence[str] = ()
    earliest: datetime | None = None


ORDERS = """
WITH o AS (SELECT o.* FROM sales_order o WHERE o.ordered_at >= :since AND o.ordered_at <= :now AND {narrow}),
 l AS (SELECT l.order_number, count(*) AS lines, sum(l.unit_price * l.quantity_ordered) AS value,
   min(CASE WHEN l.unit_price * l.quantity_ordered > 0 THEN 100 - 100 * i.unit_cost * l.quantity_base / (l.unit_price * l.quantity_ordered) END) AS margin
   FROM order_line l JOIN item i ON i.sku = l.sku JOIN o ON o.number = l.order_number GROUP BY l.order_number),
 f AS (SELECT substr(e.subject, 13) AS number, e.at AS entered, e.facts -> 'order' AS facts FROM journal_entry e JOIN o ON e.subject = 'sales_order:' || o.number
   WHERE e.tag = 'order:sales:placed'),
 x AS (SELECT f.number, max(abs((n ->> 'unit_price')::float / nullif(coalesce((n ->> 'expected_price')::float, (n -> 'item' ->> 'list_price')::float), 0) - 1)) AS price_off,
   max((n ->> 'quantity')::float / nullif((n ->> 'usual_quantity')::float, 0)) AS quantity_off,
   avg(((n ->> 'quantity_short')::float > 0)::int) AS short FROM f, jsonb_array_elements(f.facts -> 'lines') n GROUP BY f.number),
 h AS (SELECT order_number, min(placed_at) AS first FROM hold JOIN o ON o.number = hold.order_number GROUP BY order_number),
 s AS (SELECT order_number, min(shipped_at) AS first FROM shipment JOIN o ON o.number = shipment.order_number GROUP BY order_number)
SELECT o.number, o.customer, o.warehouse, o.channel, c.tier, coalesce(c.segment, '') AS segment, extract(epoch FROM o.ordered_at)::float AS at, extract(epoch FROM coalesce(f.entered, o.ordered_at))::float AS entered,
 extract(epoch FROM o.requested_date + 1)::float AS requested, coalesce(l.value, 0)::float AS value, coalesce(l.lines, 0)::float AS lines,
 (f.facts -> 'credit' ->> 'limit')::float AS "limit",
 (f.facts -> 'credit' ->> 'unpaid')::float + (f.facts -> 'credit' ->> 'open_orders')::float AS exposure,
 (f.facts -> 'credit' ->> 'overdue')::float AS overdue, o.payment_terms_days::float AS terms, l.margin::float AS margin, x.price_off, x.quantity_off,
 x.short::float AS short, (o.ship_to_country <> c.country)::int::float AS abroad, coalesce((h.first <= coalesce(f.entered, o.ordered_at) + interval '5 seconds')::int, 0)::float AS held,
 extract(epoch FROM coalesce(s.first, CASE WHEN o.status = 'cancelled' THEN o.ordered_at + interval '1 day' END,
   CASE WHEN o.ordered_at < cast(:now AS timestamptz) - interval '60 days' THEN o.ordered_at + interval '60 days' END))::float AS closed,
 (o.status = 'cancelled')::int::float AS cancelled
FROM o JOIN customer c ON c.code = o.customer LEFT JOIN l ON l.order_number = o.number LEFT JOIN f ON f.number = o.number
LEFT JOIN x ON x.number = o.number LEFT JOIN h ON h.order_number = o.number LEFT JOIN s ON s.order_number = o.number ORDER BY o.ordered_at, o.number
"""
LINES = """
SELECT o.number AS order, o.customer, coalesce(o.customer_po, '') AS po, o.warehouse, l.sku, coalesce(i.category, '') AS category, extract(epoch FROM o.ordered_at)::float AS at,
 l.quantity_base::float AS quantity, (l.unit_price * l.quantity_ordered / nullif(l.quantity_base, 0))::float AS price, i.list_price::float AS list_price,
 i.unit_cost::float AS cost, NULL::float AS expected_price
FROM order_line l JOIN sales_order o ON o.number = l.order_number JOIN item i ON i.sku = l.sku
WHERE o.ordered_at >= :since AND o.ordered_at <= :now AND l.quantity_base > 0 AND l.unit_price > 0 AND {narrow} ORDER BY o.ordered_at, o.number, l.line
"""
HOLDS = """
SELECT h.order_number AS order, o.customer, extract(epoch FROM h.placed_at)::float AS at, h.reason FROM hold h JOIN sales_order o ON o.number = h.order_number
WHERE h.placed_at >= :since AND h.placed_at <= :now AND {narrow} ORDER BY h.id
"""
INVOICES = """
SELECT v.number, v.order_number AS order, v.customer, extract(epoch FROM v.invoiced_at)::float AS at, extract(epoch FROM v.due_on)::float AS due,
 extract(epoch FROM v.paid_at)::float AS paid, v.amount::float AS amount FROM invoice v
WHERE v.invoiced_at >= cast(:since AS date) AND v.invoiced_at <= cast(:now AS date) AND {narrow} ORDER BY v.invoiced_at, v.number
"""
SHIPMENTS = """
SELECT s.order_number AS order, o.customer, s.warehouse, extract(epoch FROM s.shipped_at)::float AS at, extract(epoch FROM s.delivered_at)::float AS delivered,
 extract(epoch FROM o.requested_date + 1)::float AS requested FROM shipment s JOIN sales_order o ON o.number = s.order_number
WHERE s.shipped_at >= :since AND s.shipped_at <= :now AND {narrow} ORDER BY s.shipped_at, s.number
"""
# a line has arrived when some of it has (what came before receipts were kept is not known, so it has no date to be asked about); it differs when something about it was found to
PURCHASES = """
SELECT p.number, p.supplier, l.sku, coalesce(i.category, '') AS category, p.warehouse, s.risk, extract(epoch FROM p.ordered_at)::float AS at,
 CASE WHEN r.first IS NOT NULL OR p.status NOT IN ('received', 'closed') THEN extract(epoch FROM coalesce(p.agreed_date, p.expected_date) + 1) END::float AS expected,
 extract(epoch FROM r.first)::float AS received,
 l.quantity::float AS quantity, l.quantity_received::float AS arrived, (l.quantity * l.unit_cost)::float AS value,
 CASE WHEN r.first IS NOT NULL THEN (d.found OR l.quantity_damaged > 0)::int::float END AS differs
FROM purchase_order_line l JOIN purchase_order p ON p.number = l.order_number JOIN supplier s ON s.code = p.supplier JOIN item i ON i.sku = l.sku
LEFT JOIN LATERAL (SELECT min(r.received_at) AS first FROM receipt r JOIN receipt_line x ON x.receipt = r.number
  WHERE r.purchase_order = p.number AND x.sku = l.sku) r ON true
LEFT JOIN LATERAL (SELECT EXISTS (SELECT FROM discrepancy d WHERE d.purchase_order = p.number AND d.receipt IS NOT NULL AND d.sku = l.sku) AS found) d ON true
WHERE p.status <> 'cancelled' AND p.ordered_at >= cast(:since AS date) AND p.ordered_at <= cast(:now AS date) ORDER BY p.ordered_at, p.number, l.line
"""
# the shelf by the evening, from today's level back through what moved
LEVELS = """
WITH day AS (SELECT generate_series(cast(:since AS date), cast(:now AS date) - 1, interval '1 day') + interval '1 day' AS at),
 moved AS (SELECT split_part(source, ':', 2) AS warehouse, sku, at, -quantity AS quantity FROM stock_movement WHERE source LIKE 'warehouse:%' AND at >= :since
   UNION ALL SELECT split_part(target, ':', 2), sku, at, quantity FROM stock_movement WHERE target LIKE 'warehouse:%' AND at >= :since),
 sums AS (SELECT warehouse, sku, date_trunc('day', at) + interval '1 day' AS at, sum(quantity) AS quantity FROM moved GROUP BY 1, 2, 3),
 kept AS (SELECT s.warehouse, s.sku, s.quantity_on_hand FROM stock_level s WHERE (s.warehouse, s.sku) IN (SELECT warehouse, sku FROM moved))
SELECT k.warehouse, k.sku, coalesce(i.category, '') AS category, extract(epoch FROM d.at)::float AS at,
 (k.quantity_on_hand - coalesce(sum(m.quantity) OVER later, 0))::float AS on_hand, 0::float AS inbound
FROM kept k JOIN item i ON i.sku = k.sku CROSS JOIN day d LEFT JOIN sums m ON m.warehouse = k.warehouse AND m.sku = k.sku AND m.at = d.at
WINDOW later AS (PARTITION BY k.warehouse, k.sku ORDER BY d.at DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
ORDER BY k.warehouse, k.sku, d.at
"""
# what a case was when it came last; of those that came before this was kept, only that they came and went is told
CASES = """
SELECT c.id::text AS id, coalesce(c.came_as ->> 'queue', c.queue) AS queue, c.kind, coalesce(c.came_as ->> 'priority', c.priority) AS priority,
 coalesce(c.came_as ->> 'tier', '') AS tier, coalesce(c.came_as ->> 'customer', '') AS customer, coalesce((c.came_as ->> 'at_stake')::float, 0) AS worth,
 extract(epoch FROM coalesce(c.came_at, c.opened_at))::float AS at, (c.came_as ->> 'due')::float AS due,
 CASE WHEN c.paused_at IS NULL AND c.came_as IS NOT NULL THEN extract(epoch FROM c.due_at) END::float AS ends, extract(epoch FROM c.resolved_at)::float AS closed, coalesce(c.root_cause, '') AS cause
FROM case_file c WHERE c.opened_at >= :since AND c.opened_at <= :now AND c.queue <> 'none' AND (c.came_at IS NOT NULL OR c.resolved_at IS NOT NULL)
 ORDER BY c.opened_at, c.id
"""
# what else a warehouse has to do, without what is known of each order
BESIDE = """
SELECT o.number, o.customer, o.warehouse, o.channel, extract(epoch FROM o.ordered_at)::float AS at FROM sales_order o
WHERE o.warehouse = ANY(:warehouses) AND o.ordered_at >= :fortnight AND o.ordered_at <= :now AND NOT o.customer = ANY(:customers)"""
OWN = {"orders": ORDERS, "order_lines": LINES, "holds": HOLDS, "invoices": INVOICES, "shipments": SHIPMENTS}
WHOLE = {**OWN, "purchases": PURCHASES, "levels": LEVELS, "cases": CASES}
# a customer's year; and of a warehouse, or of items, what is recent
NARROW = {
    "orders": "o.customer = ANY(:customers)",
    "order_lines": "(o.customer = ANY(:customers) OR (l.sku = ANY(:skus) AND o.ordered_at >= :lately) OR o.number = ANY(:others))",
    "holds": "(o.customer = ANY(:customers) OR (h.reason = 'stock' AND h.placed_at >= :lately AND EXISTS (SELECT FROM order_line l WHERE l.order_number = o.number AND l.sku = ANY(:skus))))",
    "invoices": "v.customer = ANY(:customers)",
    "shipments": "(o.customer = ANY(:customers) OR (s.warehouse = ANY(:warehouses) AND s.shipped_at >= :recent))",
}


def past(session: Session, now: datetime, tables: Sequence[str], wanted: Wanted | None = None) -> dict[str, Columns]:
    """Columns of each table. With `wanted` only what is asked for, of the tables that know it."""
    asked: dict[str, Any] = {"now": now, "since": now - YEAR * (1 if wanted else 3)}
    if wanted:
        first = wanted.earliest or now
        asked |= {
            "customers": list(wanted.customers),
            "warehouses": list(wanted.warehouses),
            "skus": list(wanted.skus),
            "others": list(wanted.others),
            "recent": first - timedelta(days=91),
            "lately": first - timedelta(days=121),
            "fortnight": first - timedelta(days=15),
        }
    found = {name: _columns(session, name, asked, wanted is not None) for name in tables}
    if wanted and "orders" in found:
        others = session.execute(text(BESIDE), {k: v for k, v in asked.items() if f":{k}" in BESIDE}).all()
        for row in others:
            for name, column in found["orders"].items():
                column.append(row._mapping.get(name))
    return found


def _columns(session: Session, name: str, asked: dict[str, Any], narrowed: bool) -> Columns:
    query = WHOLE[name].replace("{narrow}", NARROW[name] if narrowed and name in NARROW else "true")
    used = {key: value for key, value in asked.items() if f":{key}" in query}
    result = session.execute(text(query), used)
    names = list(result.keys())
    rows = result.all()
    return {column: [row[i] for row in rows] for i, column in enumerate(names)}


CHANGED = """
SELECT l.position, e.tag, e.subject FROM chain_link l JOIN journal_entry e ON e.id = l.number AND l.source = 'entry'
WHERE l.position > :position ORDER BY l.position LIMIT 2000"""


def changed_since(session: Session, position: int) -> tuple[int, list[tuple[str, str]]]:
    """(newest position, [(tag, subject)]) of what was journaled after a position."""
    rows = session.execute(text(CHANGED), {"position": position}).all()
    last = int(rows[-1].position) if rows else position
    return last, [(row.tag, row.subject or "") for row in rows]


def last_position(session: Session) -> int:
    """Where the journal stands."""
    return int(session.execute(text("SELECT coalesce(max(position), 0) FROM chain_link")).scalar_one())


OPEN_ORDERS = """
SELECT o.number, o.customer, o.warehouse FROM sales_order o WHERE o.status IN ('entered', 'validated', 'allocated', 'released')
AND (o.number = ANY(:orders) OR o.customer = ANY(:customers)) ORDER BY o.ordered_at DESC LIMIT :most"""
UNASKED = """
SELECT o.number, o.customer, o.warehouse FROM sales_order o WHERE o.status IN ('entered', 'validated', 'allocated', 'released')
AND NOT EXISTS (SELECT FROM prediction p WHERE p.subject = 'sales_order:' || o.number AND p.version = :version)
AND o.ordered_at >= cast(:now AS timestamptz) - interval '399 days' AND (NOT :dated OR o.requested_date >= cast(:now AS date)) ORDER BY o.ordered_at DESC LIMIT :most"""


def open_orders(
    session: Session, orders: Sequence[str], customers: Sequence[str], most: int = 500
) -> list[tuple[str, str, str]]:
    """(number, customer, warehouse) of open orders: these, and all of these customers."""
    asked = {"orders": list(orders), "customers": list(customers), "most": most}
    return [tuple(row) for row in session.execute(text(OPEN_ORDERS), asked)]


def unasked_orders(
    session: Session, version: int, now: datetime, *, dated: bool, most: int = 500
) -> list[tuple[str, str, str]]:
    """Open orders that a version was never asked about; `dated`: of which the requested day is still to come."""
    return [
        tuple(row)
        for row in session.execute(text(UNASKED), {"version": version, "most": most, "now": now, "dated": dated})
    ]


UNASKED_CASES = """
SELECT c.id, c.came_at FROM case_file c WHERE c.status NOT IN ('resolved', 'dismissed') AND c.queue <> 'none' AND (c.came_at, c.id) > (:since, :after)
AND EXISTS (SELECT FROM unnest(cast(:versions AS int[])) v WHERE NOT EXISTS (SELECT FROM prediction p
  WHERE p.subject = 'case:' || c.id AND p.version = v AND p.asked_at >= c.came_at)) ORDER BY c.came_at, c.id LIMIT :most"""


def unasked_cases(
    session: Session, versions: Sequence[int], since: tuple[datetime, int], most: int
) -> list[tuple[datetime, int]]:
    """(when it came, number) of open cases that came to their queue after a place and that one of these versions was not asked about since."""
    asked = {"versions": list(versions), "since": since[0], "after": since[1], "most": most}
    return [(row.came_at, row.id) for row in session.execute(text(UNASKED_CASES), asked)]


GOODS = """
SELECT o.number, o.customer, o.ordered_at, l.sku, sum(l.quantity_base)::float AS quantity FROM sales_order o JOIN order_line l ON l.order_number = o.number
WHERE o.number = ANY(:orders) AND l.quantity_base > 0 GROUP BY o.number, l.sku"""


def goods_of(session: Session, orders: Sequence[str]) -> dict[str, tuple[str, datetime, dict[str, float]]]:
    """(customer, when it was placed, quantity by item) of orders."""
    found: dict[str, tuple[str, datetime, dict[str, float]]] = {}
    for row in session.execute(text(GOODS), {"orders": list(orders)}):
        found.setdefault(row.number, (row.customer, row.ordered_at, {}))[2][row.sku] = row.quantity
    return found


# the index finds the nearest of all days and accounts, so more are asked for than are wanted
NEAR = """
SELECT order_number FROM (SELECT order_number, customer, placed_at, goods <=> cast(:goods AS vector) AS distance FROM order_goods
 ORDER BY goods <=> cast(:goods AS vector) LIMIT 40) n
WHERE customer <> :customer AND placed_at <= :at AND placed_at >= cast(:at AS timestamptz) - interval '2 days' AND distance < :within
 AND EXISTS (SELECT FROM order_line l WHERE l.order_number = n.order_number AND l.sku = ANY(:skus)) ORDER BY distance LIMIT :most"""


def alike(
    session: Session,
    customer: str,
    at: datetime,
    skus: Sequence[str],
    goods: Sequence[float],
    *,
    within: float,
    most: int = 5,
) -> list[str]:
    """Orders of other accounts for much the same goods, at least one of them the same, placed in the two days before: nearest first, by cosine distance."""
    asked = {
        "goods": str(list(goods)),
        "skus": list(skus),
        "customer": customer,
        "at": at,
        "within": within,
        "most": most,
    }
    return list(session.scalars(text(NEAR), asked))


HOLDERS = """
SELECT l.sku, count(DISTINCT l.order_number) AS orders FROM order_line l JOIN sales_order o ON o.number = l.order_number
WHERE o.ordered_at >= :since GROUP BY l.sku"""


def holders(session: Session, since: datetime) -> tuple[int, dict[str, int]]:
    """(orders since then, how many of them hold each item)."""
    whole = session.execute(text("SELECT count(*) FROM sales_order WHERE ordered_at >= :since"), {"since": since})
    rows = session.execute(text(HOLDERS), {"since": since})
    return int(whole.scalar_one()), {row.sku: row.orders for row in rows}


def earliest_of(session: Session, orders: Sequence[str]) -> datetime | None:
    """When the first of these orders was placed."""
    query = "SELECT min(ordered_at) FROM sales_order WHERE number = ANY(:orders)"
    found: datetime | None = session.execute(text(query), {"orders": list(orders)}).scalar_one()
    return found


NOTIFY = "journal"
