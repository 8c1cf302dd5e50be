"""Key figures, each with one definition for every firm: its words, its unit, and the query that is the definition."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

# orders of the period, of one firm or all
ORDERS = """SELECT o.* FROM sales_order o JOIN warehouse w ON w.code = o.warehouse
  WHERE o.ordered_at >= :since AND o.ordered_at < :until AND (cast(:entity AS text) IS NULL OR w.entity = :entity)"""
SHIPPED = f"""SELECT o.number, o.channel, o.ordered_at, o.requested_date, s.shipped_at, s.delivered_at, s.number AS shipment
  FROM ({ORDERS}) o JOIN shipment s ON s.order_number = o.number"""


@dataclass(frozen=True)
class Kpi:
    """A figure: its name, what it counts in words, its unit, and the query with `value` and, when it is cut, `cut`."""

    name: str
    words: str
    unit: str
    query: str


KPIS = [
    Kpi(
        "Order cycle time",
        "Days from an order's entry to its first shipment, by channel.",
        "days",
        f"""SELECT channel AS cut, round(avg(extract(epoch FROM first - ordered_at)) / 86400, 2) AS value FROM (SELECT number, channel,
        ordered_at, min(shipped_at) AS first FROM ({SHIPPED}) s GROUP BY number, channel, ordered_at) x GROUP BY channel ORDER BY channel""",
    ),
    Kpi(
        "Order release time",
        "Hours that orders spent under a hold before it was released; orders never held count as zero.",
        "hours",
        f"""SELECT NULL AS cut, round(avg(coalesce(h.hours, 0)), 2) AS value FROM ({ORDERS}) o LEFT JOIN (SELECT order_number,
        extract(epoch FROM max(released_at) - min(placed_at)) / 3600 AS hours FROM hold WHERE released_at IS NOT NULL GROUP BY order_number) h
        ON h.order_number = o.number WHERE o.status NOT IN ('entered', 'validated', 'cancelled')""",
    ),
    Kpi(
        "Touchless rate",
        "Share of orders, cancelled ones left out, that no hold ever stopped.",
        "share",
        f"""SELECT NULL AS cut, round(avg((NOT EXISTS (SELECT FROM hold h WHERE h.order_number = o.number))::int), 4) AS value
        FROM ({ORDERS}) o WHERE o.status <> 'cancelled'""",
    ),
    Kpi(
        "Rework rate",
        "Share of orders that were changed after they were entered.",
        "share",
        f"""SELECT NULL AS cut, round(avg((EXISTS (SELECT FROM journal_entry j WHERE j.subject = 'sales_order:' || o.number
        AND j.tag IN ('order:sales:amended', 'order:line:substituted')))::int), 4) AS value FROM ({ORDERS}) o""",
    ),
    Kpi(
        "Fill rate",
        "Share of the quantity ordered that has shipped, of orders wanted by now.",
        "share",
        f"""SELECT NULL AS cut, round(sum(least(l.quantity_shipped, l.quantity_base)) / nullif(sum(l.quantity_base), 0), 4) AS value
        FROM ({ORDERS}) o JOIN order_line l ON l.order_number = o.number
        WHERE o.status <> 'cancelled' AND coalesce(o.requested_date, o.ordered_at::date) <= cast(:until AS date)""",
    ),
    Kpi(
        "Backorder rate",
        "Share of open order lines that lack stock.",
        "share",
        f"""SELECT NULL AS cut, round(avg((l.quantity_base > l.quantity_allocated + l.quantity_shipped)::int), 4) AS value FROM ({ORDERS}) o
        JOIN order_line l ON l.order_number = o.number WHERE o.status IN ('validated', 'allocated', 'released')""",
    ),
    Kpi(
        "Backorder age",
        "Days since entry of open lines that lack stock.",
        "days",
        f"""SELECT NULL AS cut, round(avg(extract(epoch FROM cast(:until AS timestamptz) - o.ordered_at)) / 86400, 1) AS value FROM ({ORDERS}) o
        JOIN order_line l ON l.order_number = o.number WHERE o.status IN ('validated', 'allocated', 'released')
        AND l.quantity_base > l.quantity_allocated + l.quantity_shipped""",
    ),
    Kpi(
        "On time",
        "Share of shipments delivered, or when that is unknown shipped, by the requested date.",
        "share",
        f"""SELECT NULL AS cut, round(avg((coalesce(delivered_at, shipped_at)::date <= requested_date)::int), 4) AS value FROM ({SHIPPED}) s
        WHERE requested_date IS NOT NULL""",
    ),
    Kpi(
        "Confirmation latency",
        "Minutes from a shipment's departure to its record here.",
        "minutes",
        f"""SELECT NULL AS cut, round(avg(extract(epoch FROM j.at - s.shipped_at)) / 60, 1) AS value FROM ({SHIPPED}) s JOIN journal_entry j
        ON j.subject = 'sales_order:' || s.number AND j.tag = 'order:goods:shipped' AND j.command ->> 'shipment' = s.shipment""",
    ),
    Kpi(
        "Invoice latency",
        "Days from a shipment to its invoice.",
        "days",
        f"""SELECT NULL AS cut, round(avg(i.invoiced_at - s.shipped_at::date), 2) AS value FROM ({SHIPPED}) s
        JOIN invoice i ON i.shipment = s.shipment""",
    ),
    Kpi(
        "Purchase cycle time",
        "Days from a purchase order to its first receipt.",
        "days",
        """SELECT NULL AS cut, round(avg(r.first - o.ordered_at), 1) AS value FROM purchase_order o JOIN warehouse w ON w.code = o.warehouse
        JOIN (SELECT purchase_order, min(received_at)::date AS first FROM receipt GROUP BY purchase_order) r ON r.purchase_order = o.number
        WHERE o.ordered_at >= cast(:since AS date) AND o.ordered_at < cast(:until AS date) + 1
        AND (cast(:entity AS text) IS NULL OR w.entity = :entity)""",
    ),
    Kpi(
        "Receipt accuracy",
        "Share of receipts without a discrepancy.",
        "share",
        """SELECT NULL AS cut, round(avg((NOT EXISTS (SELECT FROM discrepancy d WHERE d.receipt = r.number AND d.kind <> 'late'))::int), 4) AS value
        FROM receipt r JOIN warehouse w ON w.code = r.warehouse WHERE r.received_at >= :since AND r.received_at < :until
        AND (cast(:entity AS text) IS NULL OR w.entity = :entity)""",
    ),
    Kpi(
        "Receipt logging latency",
        "Minutes from goods at the dock to their record here.",
        "minutes",
        """SELECT NULL AS cut, round(avg(extract(epoch FROM r.recorded_at - r.received_at)) / 60, 1) AS value FROM receipt r
        JOIN warehouse w ON w.code = r.warehouse WHERE r.received_at >= :since AND r.received_at < :until AND r.recorded_by <> 'import'
        AND (cast(:entity AS text) IS NULL OR w.entity = :entity)""",
    ),
    Kpi(
        "Invoice match rate",
        "Share of supplier invoices that match without anybody's word.",
        "share",
        """SELECT NULL AS cut, round(avg((i.status IN ('matched', 'paid') AND i.approved_by IS NULL)::int), 4) AS value FROM supplier_invoice i
        LEFT JOIN purchase_order o ON o.number = i.purchase_order LEFT JOIN warehouse w ON w.code = o.warehouse
        WHERE i.recorded_at >= :since AND i.recorded_at < :until AND i.recorded_by <> 'import'
        AND (cast(:entity AS text) IS NULL OR w.entity = :entity)""",
    ),
    Kpi(
        "Orders held",
        "Share of orders that a hold of this reason ever stopped.",
        "share",
        f"""SELECT h.reason AS cut, round(count(DISTINCT o.number)::numeric / nullif((SELECT count(*) FROM ({ORDERS}) a), 0), 4) AS value
        FROM ({ORDERS}) o JOIN hold h ON h.order_number = o.number GROUP BY h.reason ORDER BY value DESC""",
    ),
]

MARGIN_CUTS = {"segment": "c.segment", "product family": "i.category", "channel": "o.channel"}
MARGIN = """
SELECT coalesce({cut}, 'unknown') AS cut, sum(x.amount) FILTER (WHERE v.invoiced_at >= :middle) AS value_now,
  round(100 * sum(x.amount - i.unit_cost * x.quantity) FILTER (WHERE v.invoiced_at >= :middle)
    / nullif(sum(x.amount) FILTER (WHERE v.invoiced_at >= :middle), 0), 1) AS margin_now,
  round(100 * sum(x.amount - i.unit_cost * x.quantity) FILTER (WHERE v.invoiced_at < :middle)
    / nullif(sum(x.amount) FILTER (WHERE v.invoiced_at < :middle), 0), 1) AS margin_before
FROM invoice v JOIN invoice_line x ON x.invoice = v.number JOIN sales_order o ON o.number = v.order_number
JOIN customer c ON c.code = v.customer JOIN item i ON i.sku = x.sku
WHERE v.invoiced_at >= :since AND v.invoiced_at <= :until AND (cast(:entity AS text) IS NULL OR c.entity = :entity)
GROUP BY 1 ORDER BY 2 DESC NULLS LAST
"""


@dataclass(frozen=True)
class Figure:
    """A figure as it is for a period: one value, or one for each cut."""

    kpi: Kpi
    values: list[tuple[str | None, Decimal | None]]


def figures(session: Session, since: datetime, until: datetime, entity: str | None = None) -> list[Figure]:
    """All key figures of orders, receipts and invoices between two moments, of one firm or of all."""
    period = {"since": since, "until": until, "entity": entity}
    return [Figure(kpi, [(row.cut, row.value) for row in session.execute(text(kpi.query), period)]) for kpi in KPIS]


def margins(
    session: Session, since: datetime, until: datetime, entity: str | None = None
) -> dict[str, list[dict[str, Any]]]:
    """Gross margin of what was billed in percent, in the later and the earlier half of the period: where it erodes, by each cut."""
    middle = since + (until - since) / 2
    period = {"since": since.date(), "until": until.date(), "middle": middle.date(), "entity": entity}
    return {
        name: [dict(row._mapping) for row in session.execute(text(MARGIN.format(cut=cut)), period)]
        for name, cut in MARGIN_CUTS.items()
    }
