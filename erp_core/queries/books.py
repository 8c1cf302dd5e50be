"""What must hold of the books after any history. Each rule is a query that finds what breaks it."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

from erp_core.policy import Policy

RULES = {
    "an order line has exactly what its allocations say": """
        SELECT l.order_number, l.line FROM order_line l LEFT JOIN allocation a ON a.order_number = l.order_number AND a.line = l.line
        AND a.status IN ('reserved', 'committed')
        GROUP BY l.order_number, l.line HAVING l.quantity_allocated <> coalesce(sum(a.quantity), 0)""",
    "a stock level has bound exactly what allocations bind": """
        SELECT s.warehouse, s.sku FROM stock_level s LEFT JOIN allocation a ON a.warehouse = s.warehouse AND a.sku = s.sku
        AND a.status IN ('reserved', 'committed')
        GROUP BY s.warehouse, s.sku HAVING s.quantity_allocated <> coalesce(sum(a.quantity), 0)""",
    "nothing is oversold": "SELECT * FROM stock_level WHERE quantity_free < 0 OR quantity_on_hand < 0",
    "every shelf holds what came less what went": """
        SELECT s.warehouse, s.sku FROM stock_level s LEFT JOIN (SELECT place, sku, sum(quantity) AS quantity FROM (
          SELECT target AS place, sku, quantity FROM stock_movement UNION ALL SELECT source, sku, -quantity FROM stock_movement) m
          GROUP BY place, sku) m ON m.place = 'warehouse:' || s.warehouse AND m.sku = s.sku
        WHERE s.quantity_on_hand <> coalesce(m.quantity, 0)""",
    "goods in transit are those of transfers under way": """
        SELECT t.number FROM transfer t LEFT JOIN (SELECT place, sum(quantity) AS quantity FROM (
          SELECT target AS place, quantity FROM stock_movement WHERE target LIKE 'transfer:%'
          UNION ALL SELECT source, -quantity FROM stock_movement WHERE source LIKE 'transfer:%') m GROUP BY place) m
          ON m.place = 'transfer:' || t.number
        WHERE coalesce(m.quantity, 0) <> CASE WHEN t.status = 'shipped' THEN t.quantity_shipped ELSE 0 END""",
    "what is set aside waits for a transfer": """
        SELECT s.warehouse, s.sku FROM stock_level s LEFT JOIN (SELECT source, sku, sum(quantity) AS quantity FROM transfer
          WHERE status = 'ordered' GROUP BY source, sku) t ON t.source = s.warehouse AND t.sku = s.sku
        WHERE s.quantity_set_aside <> coalesce(t.quantity, 0)""",
    "quarantine holds what is set apart": """
        SELECT m.place, m.sku, m.quantity FROM (SELECT place, sku, sum(quantity) AS quantity FROM (
          SELECT target AS place, sku, quantity FROM stock_movement WHERE target LIKE 'quarantine:%'
          UNION ALL SELECT source, sku, -quantity FROM stock_movement WHERE source LIKE 'quarantine:%') x GROUP BY place, sku) m
        FULL JOIN (SELECT 'quarantine:' || warehouse AS place, sku, sum(quantity) AS quantity FROM quarantined
          WHERE outcome IS NULL GROUP BY warehouse, sku) q ON q.place = m.place AND q.sku = m.sku
        WHERE coalesce(m.quantity, 0) <> coalesce(q.quantity, 0)""",
    "no more counts as received than receipts brought": """
        SELECT l.order_number, l.line FROM purchase_order_line l JOIN (SELECT r.purchase_order, x.sku, sum(x.quantity) AS quantity
          FROM receipt_line x JOIN receipt r ON r.number = x.receipt GROUP BY r.purchase_order, x.sku) r
          ON r.purchase_order = l.order_number AND r.sku = l.sku
        WHERE l.quantity_received + l.quantity_damaged > r.quantity""",
    "no payment without a match or somebody's word": """
        SELECT i.id FROM supplier_invoice i WHERE i.status IN ('paid', 'matched') AND i.approved_by IS NULL AND EXISTS (
          SELECT FROM discrepancy d WHERE d.invoice_id = i.id AND d.settled_at IS NULL)""",
    "open orders are carried to the cent": """
        SELECT c.code FROM customer c LEFT JOIN customer_account a ON a.customer = c.code
        WHERE coalesce(a.open_orders, 0) <> (SELECT coalesce(sum(value), 0) FROM (SELECT round(sum(l.unit_price * l.quantity_ordered
        * (l.quantity_base - l.quantity_invoiced) / nullif(l.quantity_base, 0)), 2) AS value FROM sales_order o
        JOIN order_line l ON l.order_number = o.number WHERE o.customer = c.code AND o.status NOT IN ('cancelled', 'invoiced', 'closed')
        GROUP BY o.number) v)""",
    "nothing is released under a hold that stops it": """
        SELECT o.number FROM sales_order o JOIN hold h ON h.order_number = o.number AND h.released_at IS NULL AND h.line IS NULL
        JOIN order_line l ON l.order_number = o.number WHERE l.quantity_released > 0 AND h.reason = ANY(:stopping)""",
    "no released order is without something released": """
        SELECT o.number FROM sales_order o WHERE o.status = 'released' AND NOT EXISTS (SELECT FROM order_line l WHERE l.order_number = o.number AND l.quantity_released > 0)""",
    "every open hold has an open case": """
        SELECT h.id FROM hold h WHERE h.released_at IS NULL AND NOT EXISTS (SELECT FROM case_file c WHERE c.order_number = h.order_number
        AND c.kind = 'hold_' || h.reason AND c.status IN ('new', 'investigating', 'awaiting_review'))""",
    "no shipment is billed twice": "SELECT shipment FROM invoice WHERE shipment IS NOT NULL GROUP BY shipment HAVING count(*) > 1",
}


def wrong(session: Session, policy: Policy) -> list[str]:
    """The rules that do not hold, each with what breaks it first; empty when the books are right."""
    stopping = [reason.value for reason, rule in policy.holds.items() if "release" in rule.blocks]
    found = []
    for rule, query in RULES.items():
        broken = session.execute(text(query), {"stopping": stopping} if ":stopping" in query else {}).first()
        if broken is not None:
            found.append(f"{rule}: {tuple(broken)}")
    return found
