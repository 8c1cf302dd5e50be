"""Key figures, each with one definition for every firm, site and cut: its words, its unit, and the query of the rows that it counts.

A definition gives one row for each thing counted: `ref` (what it is), `at` (when it counts), `value`, `weight`, and what it can be cut by. A figure
is the sum of values by the sum of weights (a mean or a share), or the sum of values alone. What is drilled into are the same rows. A figure of
the present state (`now`) counts what is so at `until`, as of that day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from erp_core.tables.sales import CHANNELS

CUTS = ("entity", "warehouse", "channel", "segment", "supplier", "reason")


@dataclass(frozen=True)
class Kpi:
    """A figure: its name, what it counts in words, its unit, the rows, how they add up, and which way is better.

    `unit`: days, hours, minutes, share, money or count. `how`: mean or sum. `page`: where a row's `ref` has its page. `usual`: the cut that says most.
    """

    name: str
    words: str
    unit: str
    rows: str
    how: str = "mean"
    better: str = "down"
    page: str = "/orders/"
    usual: str = ""
    now: bool = False

    @property
    def slug(self) -> str:
        """The name in an address."""
        return self.name.lower().replace(" ", "-").replace(",", "")


# What counts is for whoever may see its site and customer. PostgreSQL cannot guess how many those are, and would begin with them, once for
# each, if these were inner joins or tests for NULL: seconds instead of milliseconds.
SITE_SEEN, CUSTOMER_SEEN = "coalesce(w.entity, '') <> ''", "coalesce(c.code, '') <> ''"


def _orders(
    value: str,
    *,
    weight: str = "1",
    more: str = "",
    where: str = "true",
    at: str = "o.ordered_at",
    reason: str = "''",
    document: str = "''",
    now: bool = False,
) -> str:
    """Rows of orders. `now`: those that are open, as of the end of the period; `document`: what of an order is counted, where that is not the order."""
    when = ":until" if now else at
    span = "true" if now else f"{at} >= :since AND {at} < :until"
    return f"""SELECT o.number AS ref, {when} AS at, ({value})::numeric AS value, ({weight})::numeric AS weight, w.entity, o.warehouse, o.channel,
        coalesce(c.segment, '') AS segment, '' AS supplier, {reason} AS reason, {document} AS document FROM sales_order o LEFT JOIN warehouse w ON w.code = o.warehouse
        LEFT JOIN customer c ON c.code = o.customer {more} WHERE {span} AND {SITE_SEEN} AND {CUSTOMER_SEEN} AND ({where})"""


def _cases(
    value: str,
    *,
    where: str = "true",
    at: str = "k.opened_at",
    reason: str = "k.queue",
    more: str = "",
    now: bool = False,
    weight: str = "1",
) -> str:
    """Rows of cases. `now`: those that are open, as of the end of the period."""
    when = ":until" if now else at
    span = "k.status IN ('new', 'investigating', 'awaiting_review')" if now else f"{at} >= :since AND {at} < :until"
    return f"""SELECT k.id::text AS ref, {when} AS at, ({value})::numeric AS value, ({weight})::numeric AS weight, coalesce(k.entity, '') AS entity,
        coalesce(o.warehouse, k.details ->> 'warehouse', '') AS warehouse, coalesce(o.channel, '') AS channel, coalesce(c.segment, '') AS segment,
        coalesce(k.supplier, '') AS supplier, {reason} AS reason FROM case_file k LEFT JOIN sales_order o ON o.number = k.order_number
        LEFT JOIN customer c ON c.code = k.customer {more} WHERE {span} AND ({where})"""


OF_LINE, CASES, OF_CASE = "l.order_number = o.number", "case_file k", "k.order_number = o.number"


def _sum(what: str, rows: str, on: str) -> str:
    return f"coalesce((SELECT {what} FROM {rows} WHERE {on}), 0)"


def _receipts(value: str, *, where: str = "true") -> str:
    return f"""SELECT r.number AS ref, r.received_at AS at, ({value})::numeric AS value, 1::numeric AS weight, w.entity, r.warehouse, '' AS channel, '' AS segment,
        coalesce(p.supplier, '') AS supplier, '' AS reason FROM receipt r LEFT JOIN warehouse w ON w.code = r.warehouse
        LEFT JOIN purchase_order p ON p.number = r.purchase_order WHERE {SITE_SEEN} AND r.received_at >= :since AND r.received_at < :until AND ({where})"""


def _bills(value: str, *, where: str = "true") -> str:
    return f"""SELECT i.supplier || '/' || i.number AS ref, i.recorded_at AS at, ({value})::numeric AS value, 1::numeric AS weight, coalesce(w.entity, '') AS entity,
        coalesce(p.warehouse, '') AS warehouse, '' AS channel, '' AS segment, i.supplier, i.status AS reason FROM supplier_invoice i
        LEFT JOIN purchase_order p ON p.number = i.purchase_order LEFT JOIN warehouse w ON w.code = p.warehouse
        WHERE i.recorded_at >= :since AND i.recorded_at < :until AND i.recorded_by <> 'import' AND ({where})"""


FIRST_SHIPMENT = "JOIN LATERAL (SELECT min(s.shipped_at) AS first, max(coalesce(s.delivered_at, s.shipped_at)) AS last, bool_and(s.delivered_at IS NOT NULL) AS came FROM shipment s WHERE s.order_number = o.number) s ON s.first IS NOT NULL"  # fmt: skip
LINES = "JOIN order_line l ON l.order_number = o.number"
OPEN_ORDER = "o.status IN ('validated', 'allocated', 'released')"
LACKS = "l.quantity_base > l.quantity_allocated + l.quantity_shipped"
IN_FULL = (
    "NOT EXISTS (SELECT FROM order_line l WHERE l.order_number = o.number AND l.quantity_shipped < l.quantity_base)"
)
COMPLAINED = "EXISTS (SELECT FROM return_order x WHERE x.order_number = o.number) OR EXISTS (SELECT FROM invoice i JOIN credit_memo m ON m.invoice = i.number WHERE i.order_number = o.number)"  # fmt: skip
# the days of a period, as an index on days finds them
BILLED = "{}.invoiced_at BETWEEN cast(:since AS timestamptz)::date AND cast(:until AS timestamptz)::date"
OPEN_AMOUNT = (
    "CASE WHEN i.paid_at IS NULL THEN i.amount - i.amount_settled ELSE i.amount END"  # what is paid later is open now
)
UNPAID = "(i.paid_at IS NULL OR i.paid_at > cast(:until AS date))"
# policy's rates of [costs], a firm's own where it has some, of the firms that have any; read once a firm
RATES = """JOIN (SELECT * FROM (SELECT e.code, coalesce(p #>> ARRAY['local', 'firms', e.code, 'costs', 'handling'], p #>> '{costs,handling}', '0')::numeric AS handling,
  coalesce(p #>> ARRAY['local', 'firms', e.code, 'costs', 'fulfilment_per_line'], p #>> '{costs,fulfilment_per_line}', '0')::numeric AS line,
  coalesce(p #>> ARRAY['local', 'firms', e.code, 'costs', 'freight_percent'], p #>> '{costs,freight_percent}', '0')::numeric AS freight
  FROM entity e CROSS JOIN (SELECT casework.policy_content() AS p OFFSET 0) c OFFSET 0) x WHERE handling + line + freight > 0) rates ON rates.code = w.entity"""
DECIDED = "JOIN decision d ON d.case_id = k.id JOIN proposal p ON p.id = d.proposal_id AND p.filed_by = 'agent'"
ENDS = "('executed', 'rejected', 'returned', 'signed')"
FINAL = f"d.outcome IN {ENDS} AND NOT EXISTS (SELECT FROM decision e WHERE e.proposal_id = p.id AND e.id > d.id AND e.outcome IN {ENDS})"  # the last word on each

KPIS = [
    Kpi("Order cycle time", "Days from an order's entry to its first shipment.", "days",
        _orders("extract(epoch FROM s.first - o.ordered_at) / 86400", more=FIRST_SHIPMENT), usual="channel"),
    Kpi("Order release time", "Hours that an order spent under holds before it could go on; orders never held count as zero.", "hours",
        _orders("coalesce((SELECT extract(epoch FROM max(h.released_at) - min(h.placed_at)) / 3600 FROM hold h WHERE h.order_number = o.number AND h.released_at IS NOT NULL), 0)",
                where="o.status NOT IN ('entered', 'validated', 'cancelled')"), usual="warehouse"),
    Kpi("Exceptions", "Cases that were opened, of every kind.", "count", _cases("1", reason="k.kind"), how="sum", page="/cases/", usual="reason"),
    Kpi("Exception rate", "Share of orders that a case was ever opened about.", "share",
        _orders("(EXISTS (SELECT FROM case_file k WHERE k.order_number = o.number AND k.kind <> 'chat'))::int"), usual="warehouse"),
    Kpi("Time under hold", "Hours from the placing of a hold to its release, by its reason.", "hours",
        _orders("extract(epoch FROM h.released_at - h.placed_at) / 3600", more="JOIN hold h ON h.order_number = o.number AND h.released_at IS NOT NULL", at="h.released_at", reason="h.reason"), usual="reason"),
    Kpi("Time to resolve", "Hours from the opening of a case to its end, by queue.", "hours",
        _cases("extract(epoch FROM k.resolved_at - k.opened_at) / 3600", at="k.resolved_at", where="k.queue <> 'none'"), page="/cases/", usual="reason"),
    Kpi("Approval latency", "Minutes from the filing of a proposal to the first decision on it, by queue.", "minutes",
        _cases("extract(epoch FROM d.decided_at - p.filed_at) / 60", at="d.decided_at",
               more=DECIDED + " AND NOT EXISTS (SELECT FROM decision e WHERE e.proposal_id = p.id AND e.id < d.id)"), page="/cases/", usual="reason"),
    Kpi("Cases open", "Cases that are open, by queue.", "count", _cases("1", now=True), how="sum", page="/cases/", usual="reason", now=True),
    Kpi("Age of open cases", "Days since the opening of cases that are open, by queue.", "days",
        _cases("extract(epoch FROM cast(:until AS timestamptz) - k.opened_at) / 86400", now=True), page="/cases/", usual="reason", now=True),
    Kpi("Cases late", "Share of open cases that are past their due time, by queue.", "share",
        _cases("(k.due_at < :until AND k.paused_at IS NULL)::int", now=True, where="k.due_at IS NOT NULL"), page="/cases/", usual="reason", now=True),
    Kpi("Money at stake", "Money in question in open cases, by queue.", "money", _cases("coalesce(k.at_stake, 0)", now=True), how="sum", page="/cases/", usual="reason", now=True),
    Kpi("Age of open orders", "Days since the entry of orders that have not left, by how far they are.", "days",
        _orders("extract(epoch FROM cast(:until AS timestamptz) - o.ordered_at) / 86400", now=True, where="o.status IN ('entered', 'validated', 'allocated', 'released')", reason="o.status"), usual="reason", now=True),
    Kpi("Touchless rate", "Share of orders, cancelled ones left out, that no hold ever stopped.", "share",
        _orders("(NOT EXISTS (SELECT FROM hold h WHERE h.order_number = o.number))::int", where="o.status <> 'cancelled'"), better="up", usual="channel"),
    Kpi("Rework rate", "Share of orders that were changed after they were entered.", "share",
        _orders("(EXISTS (SELECT FROM journal_entry j WHERE j.subject = 'sales_order:' || o.number AND j.tag IN ('order:sales:amended', 'order:line:substituted')))::int"), usual="channel"),
    Kpi("Orders held", "Share of orders that a hold ever stopped.", "share",
        _orders("(EXISTS (SELECT FROM hold h WHERE h.order_number = o.number))::int"), usual="channel"),
    Kpi("Holds", "Holds that were placed, by reason.", "count",
        _orders("1", more="JOIN hold h ON h.order_number = o.number", at="h.placed_at", reason="h.reason"), how="sum", usual="reason"),
    Kpi("Fill rate", "Share of the quantity ordered that has shipped, of orders wanted by now.", "share",
        _orders("sum_shipped", weight="sum_base", more="JOIN LATERAL (SELECT sum(least(l.quantity_shipped, l.quantity_base)) AS sum_shipped, nullif(sum(l.quantity_base), 0) AS sum_base FROM order_line l WHERE l.order_number = o.number) q ON q.sum_base IS NOT NULL",
                where="o.status <> 'cancelled' AND coalesce(o.requested_date, o.ordered_at::date) <= cast(:until AS date)"), better="up", usual="warehouse"),
    Kpi("Perfect order rate", "Share of shipped orders that came complete and by the requested date, with no return and no credit memo.", "share",
        _orders(f"(s.last::date <= coalesce(o.requested_date, s.last::date) AND {IN_FULL} AND NOT ({COMPLAINED}))::int", more=FIRST_SHIPMENT), better="up", usual="warehouse"),
    Kpi("Backorder rate", "Share of open order lines that lack stock.", "share", _orders(f"({LACKS})::int", more=LINES, where=OPEN_ORDER, now=True), usual="warehouse", now=True),
    Kpi("Backorder age", "Days since entry of open lines that lack stock.", "days",
        _orders("extract(epoch FROM cast(:until AS timestamptz) - o.ordered_at) / 86400", more=LINES, where=f"{OPEN_ORDER} AND {LACKS}", now=True), usual="warehouse", now=True),
    Kpi("Backorder exposure", "Value at order prices of what open lines lack.", "money",
        _orders("l.unit_price * l.quantity_ordered * (l.quantity_base - l.quantity_allocated - l.quantity_shipped) / nullif(l.quantity_base, 0)", more=LINES, where=f"{OPEN_ORDER} AND {LACKS}", now=True), how="sum", usual="warehouse", now=True),
    Kpi("Shipped on time", "Share of shipments that left by the requested date.", "share",
        _orders("(s.shipped_at::date <= o.requested_date)::int", document="s.number", more="JOIN shipment s ON s.order_number = o.number", at="s.shipped_at", where="o.requested_date IS NOT NULL"), better="up", usual="warehouse"),
    Kpi("On time", "Share of shipments delivered, or when that is unknown shipped, by the requested date.", "share",
        _orders("(coalesce(s.delivered_at, s.shipped_at)::date <= o.requested_date)::int", document="s.number", more="JOIN shipment s ON s.order_number = o.number", where="o.requested_date IS NOT NULL"), better="up", usual="warehouse"),
    Kpi("On time in full", "Share of shipped orders that came complete by the requested date.", "share",
        _orders(f"(s.last::date <= o.requested_date AND {IN_FULL})::int", more=FIRST_SHIPMENT, where="o.requested_date IS NOT NULL"), better="up", usual="warehouse"),
    Kpi("Promises kept", "Share of promised orders that had left complete by the promised date, of promises that are due: how true available-to-promise was.", "share",
        _orders(f"(s.last::date <= o.promised_date AND {IN_FULL})::int", more=FIRST_SHIPMENT.replace("JOIN LATERAL", "LEFT JOIN LATERAL").replace("ON s.first IS NOT NULL", "ON true"),
                where="o.promised_date < cast(:until AS date) AND o.status <> 'cancelled'"), better="up", usual="warehouse"),
    Kpi("Confirmation latency", "Minutes from a shipment's departure to its record here.", "minutes",
        _orders("extract(epoch FROM j.at - s.shipped_at) / 60", document="s.number", at="s.shipped_at", more="JOIN shipment s ON s.order_number = o.number JOIN journal_entry j ON j.subject = 'sales_order:' || o.number AND j.tag = 'order:goods:shipped' AND j.command ->> 'shipment' = s.number"), usual="warehouse"),
    Kpi("Invoice latency", "Days from a shipment to its invoice.", "days",
        _orders("i.invoiced_at - s.shipped_at::date", document="i.number", at="s.shipped_at", more="JOIN shipment s ON s.order_number = o.number JOIN invoice i ON i.shipment = s.number"), usual="entity"),
    Kpi("Invoice accuracy", "Share of invoices that no credit memo corrected.", "share",
        _orders("(NOT EXISTS (SELECT FROM credit_memo m WHERE m.invoice = i.number))::int", document="i.number", at="i.invoiced_at::timestamptz", more="JOIN invoice i ON i.order_number = o.number", where=BILLED.format("i")), better="up", usual="entity"),
    Kpi("Price overrides", "Share of orders with a price or margin hold that somebody released.", "share",
        _orders("(EXISTS (SELECT FROM hold h WHERE h.order_number = o.number AND h.reason IN ('price', 'margin') AND h.released_at IS NOT NULL))::int"), usual="channel"),
    Kpi("Gross margin", "What was billed less what it cost, as a share of what was billed.", "share",
        _orders("x.amount - i.unit_cost * x.quantity", document="v.number || ', ' || x.sku", weight="x.amount", at="v.invoiced_at::timestamptz", reason="coalesce(i.category, '')",
                more="JOIN invoice v ON v.order_number = o.number JOIN invoice_line x ON x.invoice = v.number AND x.amount <> 0 JOIN item i ON i.sku = x.sku", where=BILLED.format("v")), better="up", usual="segment"),
    Kpi("Return disposition time", "Days from the request of a return to its end.", "days",
        _orders("extract(epoch FROM x.closed_at - x.requested_at) / 86400", at="x.closed_at", reason="x.reason", more="JOIN return_order x ON x.order_number = o.number AND x.closed_at IS NOT NULL"), usual="reason"),
    Kpi("Purchase cycle time", "Days from a purchase order to its first receipt.", "days",
        _receipts("r.received_at::date - p.ordered_at", where="p.number IS NOT NULL AND NOT EXISTS (SELECT FROM receipt e WHERE e.purchase_order = r.purchase_order AND e.received_at < r.received_at)"), page="/receipts/", usual="supplier"),
    Kpi("Supplier on time", "Share of receipts that came by the day agreed with the supplier.", "share",
        _receipts("(r.received_at::date <= coalesce(p.agreed_date, p.expected_date))::int", where="coalesce(p.agreed_date, p.expected_date) IS NOT NULL"), better="up", page="/receipts/", usual="supplier"),
    Kpi("Receipt accuracy", "Share of receipts without a discrepancy.", "share",
        _receipts("(NOT EXISTS (SELECT FROM discrepancy d WHERE d.receipt = r.number AND d.kind <> 'late'))::int"), better="up", page="/receipts/", usual="supplier"),
    Kpi("Receipt logging latency", "Minutes from goods at the dock to their record here.", "minutes",
        _receipts("extract(epoch FROM r.recorded_at - r.received_at) / 60", where="r.recorded_by <> 'import'"), page="/receipts/", usual="warehouse"),
    Kpi("Invoice match rate", "Share of supplier invoices that match without anybody's word.", "share",
        _bills("(i.status IN ('matched', 'paid') AND i.approved_by IS NULL)::int"), better="up", page="/bills/", usual="supplier"),
    Kpi("Match cycle time", "Hours from the record of a supplier invoice to when it matched or somebody accepted it.", "hours",
        _bills("coalesce((SELECT extract(epoch FROM min(j.at) - i.recorded_at) / 3600 FROM journal_entry j WHERE j.subject = 'bill:' || i.supplier || ':' || i.number AND j.tag = 'bill:match:approved'), 0)",
               where="i.status IN ('matched', 'approved', 'paid')"), page="/bills/", usual="supplier"),
    Kpi("Inventory accuracy", "Share of counts that found what the books said.", "share",
        """SELECT substr(j.subject, 7) AS ref, j.at, ((j.before ->> 'on_hand')::numeric = (j.after ->> 'counted')::numeric)::int::numeric AS value, 1::numeric AS weight, coalesce(w.entity, '') AS entity,
        split_part(j.subject, ':', 2) AS warehouse, '' AS channel, '' AS segment, '' AS supplier, '' AS reason FROM journal_entry j
        LEFT JOIN warehouse w ON w.code = split_part(j.subject, ':', 2) WHERE j.tag = 'stock:level:counted' AND j.at >= :since AND j.at < :until""", better="up", page="", usual="warehouse"),
    Kpi("Expedite cost", "What putting orders ahead cost.", "money", _orders("o.expedite_cost", where="o.expedite_cost > 0"), how="sum", usual="warehouse"),
    Kpi("Stock at cost", "What stock on hand cost.", "money",
        """SELECT s.sku AS ref, :until AS at, (s.quantity_on_hand * i.unit_cost)::numeric AS value, 1::numeric AS weight, w.entity, s.warehouse, '' AS channel, '' AS segment,
        '' AS supplier, coalesce(i.category, '') AS reason FROM stock_level s JOIN item i ON i.sku = s.sku JOIN warehouse w ON w.code = s.warehouse
        WHERE s.quantity_on_hand > 0 AND cast(:since AS timestamptz) IS NOT NULL""", how="sum", page="/items/", usual="warehouse", now=True),
    Kpi("Receivables", "Invoices that are not paid yet.", "money",
        f"""SELECT i.order_number AS ref, :until AS at, ({OPEN_AMOUNT})::numeric AS value, 1::numeric AS weight, c.entity, '' AS warehouse, '' AS channel, coalesce(c.segment, '') AS segment,
        '' AS supplier, CASE WHEN i.due_on < cast(:until AS date) THEN 'overdue' ELSE 'not due yet' END AS reason, i.number AS document FROM invoice i LEFT JOIN customer c ON c.code = i.customer
        WHERE {CUSTOMER_SEEN} AND {UNPAID} AND cast(:since AS timestamptz) IS NOT NULL""", how="sum", usual="reason", now=True),
    Kpi("Operating cost per order", "What an order cost to handle: haste, freight and lines at policy's rates, each decision of a person at policy's rate, and language models. Empty until policy has a rate.", "money",
        _orders(f"o.expedite_cost + {_sum('count(*)', 'order_line l', OF_LINE)} * rates.line + {_sum('sum(l.unit_price * l.quantity_ordered)', 'order_line l', OF_LINE)} * rates.freight / 100 "
                f"+ {_sum('count(*)', f'{CASES} JOIN proposal p ON p.case_id = k.id JOIN decision d ON d.proposal_id = p.id', OF_CASE)} * rates.handling + {_sum('sum(m.cost)', f'{CASES} JOIN model_call m ON m.case_id = k.id', OF_CASE)}",
                more=RATES, where="o.status <> 'cancelled'"), usual="channel"),
    Kpi("Working capital", "Stock at cost and what customers owe, less what we owe suppliers.", "money", f"""SELECT ref, :until AS at, value::numeric, 1::numeric AS weight, entity, warehouse, '' AS channel, segment, supplier, reason FROM (
        SELECT s.sku AS ref, s.quantity_on_hand * i.unit_cost AS value, w.entity, s.warehouse, '' AS segment, '' AS supplier, 'stock' AS reason
        FROM stock_level s JOIN item i ON i.sku = s.sku JOIN warehouse w ON w.code = s.warehouse WHERE s.quantity_on_hand > 0
        UNION ALL SELECT i.order_number, {OPEN_AMOUNT}, c.entity, '', coalesce(c.segment, ''), '', 'receivables' FROM invoice i LEFT JOIN customer c ON c.code = i.customer WHERE {CUSTOMER_SEEN} AND {UNPAID}
        UNION ALL SELECT b.supplier || '/' || b.number, -b.amount, coalesce(w.entity, ''), coalesce(p.warehouse, ''), '', b.supplier, 'payables' FROM supplier_invoice b
        LEFT JOIN purchase_order p ON p.number = b.purchase_order LEFT JOIN warehouse w ON w.code = p.warehouse WHERE b.status IN ('blocked', 'matched', 'approved')) x
        WHERE cast(:since AS timestamptz) IS NOT NULL""", how="sum", better="down", page="", usual="reason", now=True),
    Kpi("Customer inquiries", "Mails and chats that wanted somebody, by queue.", "count",
        _cases("1", where="k.kind IN ('mail', 'chat') AND k.queue <> 'none'"), how="sum", page="/cases/", usual="reason"),
    Kpi("Root causes", "Cases that ended, by the cause that was named.", "count",
        _cases("1", at="k.resolved_at", where="k.root_cause IS NOT NULL", reason="k.root_cause"), how="sum", page="/cases/", usual="reason"),
    Kpi("Signed as filed", "Share of the agent's proposals that people signed as they were filed, by action.", "share",
        _cases("(d.verdict = 'approve' AND p.amended IS NULL)::int", at="d.decided_at", more=DECIDED, where=FINAL, reason="p.action"), better="up", page="/cases/", usual="reason"),
    Kpi("Overrides", "Share of the agent's proposals that people rejected, amended or sent back, by action.", "share",
        _cases("(d.verdict IN ('reject', 'amend', 'instruct') OR p.amended IS NOT NULL)::int", at="d.decided_at", more=DECIDED, where=FINAL, reason="p.action"), page="/cases/", usual="reason"),
    Kpi("Certainty that held", "Share of proposals that were signed as filed, by how certain the agent said it was.", "share",
        _cases("(d.verdict = 'approve' AND p.amended IS NULL)::int", at="d.decided_at", more=DECIDED, where=FINAL, reason="p.confidence"), better="up", page="/cases/", usual="reason"),
    Kpi("Agent lag", "Minutes from the opening of a case to the agent's first proposal.", "minutes",
        _cases("extract(epoch FROM p.filed_at - k.opened_at) / 60", more="JOIN LATERAL (SELECT min(p.filed_at) AS filed_at FROM proposal p WHERE p.case_id = k.id AND p.filed_by = 'agent') p ON p.filed_at IS NOT NULL"), page="/cases/", usual="reason"),
    Kpi("Given back by the agent", "Cases that the agent could not work, by kind.", "count",
        _cases("1", where="EXISTS (SELECT FROM journal_entry j WHERE j.case_id = k.id AND j.tag = 'case:agent:failed')", reason="k.kind"), how="sum", page="/cases/", usual="reason"),
    Kpi("Integration failures", "Events of other systems that could not be applied and became cases.", "count",
        _cases("1", where="k.kind = 'integration_failure'", reason="split_part(k.subject, ':', 1)"), how="sum", page="/cases/", usual="reason"),
    Kpi("Due times missed", "Cases that became late, by queue.", "count", _cases("1", at="k.breached_at", where="k.breached_at IS NOT NULL"), how="sum", page="/cases/", usual="reason"),
    Kpi("Language model cost", "What language models were paid, by what for.", "money",
        """SELECT coalesce(m.case_id::text, '') AS ref, m.asked_at AS at, m.cost::numeric AS value, 1::numeric AS weight, coalesce(m.entity, '') AS entity, '' AS warehouse, '' AS channel, '' AS segment,
        '' AS supplier, m.purpose AS reason FROM model_call m WHERE m.asked_at >= :since AND m.asked_at < :until""", how="sum", page="/cases/", usual="reason"),
    Kpi("Language model failures", "Share of questions that a language model did not answer usably, by what for.", "share",
        """SELECT coalesce(m.case_id::text, '') AS ref, m.asked_at AS at, (m.outcome <> 'answered')::int::numeric AS value, 1::numeric AS weight, coalesce(m.entity, '') AS entity, '' AS warehouse, '' AS channel,
        '' AS segment, '' AS supplier, m.purpose AS reason FROM model_call m WHERE m.asked_at >= :since AND m.asked_at < :until""", page="/cases/", usual="reason"),
]  # fmt: skip
BY_SLUG = {kpi.slug: kpi for kpi in KPIS}

# what each role looks at first
ROLES: dict[str, list[str]] = {
    "supervisor": ["cases-open", "cases-late", "money-at-stake", "touchless-rate", "time-to-resolve", "approval-latency", "exceptions", "holds", "root-causes", "signed-as-filed"],
    "service": ["customer-inquiries", "order-cycle-time", "order-release-time", "rework-rate", "perfect-order-rate", "on-time-in-full", "promises-kept", "return-disposition-time"],
    "credit": ["time-under-hold", "holds", "receivables", "order-release-time", "money-at-stake", "invoice-accuracy", "invoice-latency"],
    "supply": ["backorder-rate", "backorder-age", "backorder-exposure", "fill-rate", "promises-kept", "supplier-on-time", "purchase-cycle-time", "stock-at-cost", "expedite-cost"],
    "warehouse": ["age-of-open-orders", "shipped-on-time", "confirmation-latency", "receipt-accuracy", "receipt-logging-latency", "inventory-accuracy", "on-time"],
    "finance": ["gross-margin", "price-overrides", "receivables", "invoice-match-rate", "match-cycle-time", "invoice-accuracy", "working-capital", "stock-at-cost", "operating-cost-per-order", "expedite-cost"],
    "ai": ["signed-as-filed", "overrides", "certainty-that-held", "agent-lag", "given-back-by-the-agent", "language-model-cost", "language-model-failures"],
    "operations": ["cases-open", "age-of-open-cases", "due-times-missed", "agent-lag", "integration-failures", "given-back-by-the-agent", "language-model-failures"],
}  # fmt: skip


@dataclass(frozen=True)
class Narrow:
    """Only rows of these cuts; what is empty is not asked for."""

    entity: str = ""
    warehouse: str = ""
    channel: str = ""
    segment: str = ""
    supplier: str = ""
    reason: str = ""

    @property
    def asked(self) -> dict[str, str]:
        """What is asked for, by cut."""
        return {cut: value for cut in CUTS if (value := getattr(self, cut))}

    @property
    def where(self) -> str:
        """As SQL over columns of these names."""
        return "".join(f" AND {cut} = :{cut}" for cut in self.asked)


ANY = Narrow()


@dataclass(frozen=True)
class Figure:
    """A figure as it is for a period: one value, or one for each cut."""

    kpi: Kpi
    values: list[tuple[str | None, Decimal | None]] = field(default_factory=list)


def _value(kpi: Kpi) -> str:
    return "sum(value)" if kpi.how == "sum" else "sum(value) / nullif(sum(weight), 0)"


def live(session: Session, kpi: Kpi, since: datetime, until: datetime, narrow: Narrow = ANY, by: str = "") -> Figure:
    """A figure reckoned from its rows as they are now."""
    cut = by if by in CUTS else "NULL::text"
    query = f"SELECT {cut} AS cut, round({_value(kpi)}, 4) AS value FROM ({kpi.rows}) r WHERE true{narrow.where} GROUP BY 1 ORDER BY 2 DESC NULLS LAST"
    rows = session.execute(text(query), {"since": since, "until": until, **narrow.asked})
    return Figure(kpi, [(row.cut, row.value) for row in rows if row.value is not None])


def figures(session: Session, since: datetime, until: datetime, entity: str | None = None) -> list[Figure]:
    """All key figures between two moments, of one firm or of all, each by the cut that says most; reckoned from the rows."""
    return [live(session, kpi, since, until, Narrow(entity or ""), kpi.usual) for kpi in KPIS]


@dataclass(frozen=True)
class Row:
    """One thing that a figure counts."""

    ref: str
    at: datetime
    value: Decimal
    cuts: dict[str, str]
    document: str = ""


def rows(
    session: Session,
    kpi: Kpi,
    since: datetime,
    until: datetime,
    narrow: Narrow,
    limit: int,
    latest: int | None = None,
) -> list[Row]:
    """What a figure is made of: the largest first, of the `latest` so many that count, where that is said and the figure is not of the present state."""
    newest = f"SELECT * FROM ({kpi.rows}) x WHERE true{narrow.where} ORDER BY at DESC LIMIT :latest"
    those = kpi.rows if kpi.now or latest is None else newest
    query = f"SELECT * FROM ({those}) r WHERE value IS NOT NULL{narrow.where} ORDER BY value {'ASC' if kpi.better == 'up' else 'DESC'}, ref LIMIT :limit"
    asked = {"since": since, "until": until, "limit": limit, "latest": latest, **narrow.asked}
    found = session.execute(text(query), asked)
    return [Row(r.ref, r.at, r.value, {c: getattr(r, c) for c in CUTS}, getattr(r, "document", "")) for r in found]


# what was counted, by day: the clock keeps it, so that a page adds up days instead of rows


def counted_at(session: Session) -> datetime | None:
    """When the days were counted last."""
    found: datetime | None = session.scalar(text("SELECT max(counted_at) FROM kpi_day"))
    return found


def _days(kpi: Kpi) -> str:
    """Of a figure of the present state the last day counts, of all others the days of the period."""
    last = "(SELECT max(day) FROM kpi_day WHERE kpi = :kpi AND day <= :until)"
    return f"day = {last}" if kpi.now else "day >= :since AND day <= :until"


def counted(
    session: Session, kpi: Kpi, since: date, until: date, narrow: Narrow = ANY, by: str = ""
) -> list[tuple[str | None, Decimal | None]]:
    """A figure from the days that were counted, whole or by a cut."""
    cut = by if by in CUTS else "NULL::text"
    query = f"SELECT {cut} AS cut, round({_value(kpi)}, 4) AS value FROM kpi_day WHERE kpi = :kpi AND {_days(kpi)}{narrow.where} GROUP BY 1 ORDER BY 2 DESC NULLS LAST"
    found = session.execute(text(query), {"kpi": kpi.slug, "since": since, "until": until, **narrow.asked})
    return [(row.cut, row.value) for row in found if row.value is not None]


def trend(
    session: Session, kpi: Kpi, since: date, until: date, narrow: Narrow = ANY, *, weeks: bool = False
) -> list[tuple[date, Decimal | None]]:
    """A figure day by day, or week by week."""
    when = "date_trunc('week', day)::date" if weeks and not kpi.now else "day"
    query = f"SELECT {when} AS at, round({_value(kpi)}, 4) AS value FROM kpi_day WHERE kpi = :kpi AND day >= :since AND day <= :until{narrow.where} GROUP BY 1 ORDER BY 1"
    found = session.execute(text(query), {"kpi": kpi.slug, "since": since, "until": until, **narrow.asked})
    return [(row.at, row.value) for row in found]


def cuts_there_are(session: Session) -> Mapping[str, Sequence[str]]:
    """What figures can be cut by."""
    named = {
        "entity": "SELECT code FROM entity ORDER BY 1",
        "warehouse": "SELECT code FROM warehouse ORDER BY 1",
        "segment": "SELECT DISTINCT segment FROM customer WHERE segment <> '' ORDER BY 1",
        "supplier": "SELECT code FROM supplier ORDER BY 1",
    }
    found = {cut: list(session.scalars(text(query))) for cut, query in named.items()}
    return {**found, "channel": CHANNELS}


def kinds_of_cases(session: Session) -> Sequence[str]:
    """The kinds of cases that were counted."""
    return session.scalars(text("SELECT DISTINCT reason FROM kpi_day WHERE kpi = 'exceptions'")).all()


MARGIN_CUTS = {"segment": "segment", "product family": "reason", "channel": "channel"}
MARGIN = """
SELECT coalesce(nullif({cut}, ''), 'unknown') AS cut, sum(weight) FILTER (WHERE day >= :middle) AS value_now,
  round(100 * sum(value) FILTER (WHERE day >= :middle) / nullif(sum(weight) FILTER (WHERE day >= :middle), 0), 1) AS margin_now,
  round(100 * sum(value) FILTER (WHERE day < :middle) / nullif(sum(weight) FILTER (WHERE day < :middle), 0), 1) AS margin_before
FROM kpi_day WHERE kpi = 'gross-margin' AND day >= :since AND day <= :until{where} GROUP BY 1 ORDER BY 2 DESC NULLS LAST
"""


def margins(session: Session, since: date, until: date, narrow: Narrow = ANY) -> dict[str, list[dict[str, Any]]]:
    """Gross margin of what was billed in percent, in the later and the earlier half of the period: where it erodes, by each cut. From the days that were counted."""
    period = {"since": since, "until": until, "middle": since + (until - since) / 2, **narrow.asked}
    return {
        name: [dict(row._mapping) for row in session.execute(text(MARGIN.format(cut=cut, where=narrow.where)), period)]
        for name, cut in MARGIN_CUTS.items()
    }
