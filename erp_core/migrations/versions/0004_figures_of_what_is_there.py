"""figures of what is there: data only"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS = [
    """UPDATE invoice i SET customer = o.customer, due_on = i.invoiced_at + c.payment_terms_days
       FROM sales_order o JOIN customer c ON c.code = o.customer WHERE o.number = i.order_number""",
    """UPDATE invoice SET amount_settled = amount WHERE paid_at IS NOT NULL""",
    """UPDATE order_line l SET quantity_released = l.quantity_allocated
       FROM sales_order o WHERE o.number = l.order_number AND o.status = 'released'""",
    """INSERT INTO customer_account (customer, open_orders, order_count, order_value, last_warehouse)
       SELECT o.customer,
         coalesce(sum(l.unit_price * l.quantity_ordered) FILTER (WHERE o.status NOT IN ('invoiced', 'closed')), 0),
         count(DISTINCT o.number), sum(l.unit_price * l.quantity_ordered), (array_agg(o.warehouse ORDER BY o.ordered_at DESC))[1]
       FROM sales_order o JOIN order_line l ON l.order_number = o.number WHERE o.status <> 'cancelled' GROUP BY o.customer""",
    """INSERT INTO customer_item (customer, sku, orders, quantity, last_price)
       SELECT o.customer, l.sku, count(DISTINCT o.number), sum(l.quantity_base), max(l.unit_price)
       FROM sales_order o JOIN order_line l ON l.order_number = o.number
       WHERE o.status <> 'cancelled' AND l.quantity_base > 0 GROUP BY o.customer, l.sku""",
    """SELECT setval('order_number', greatest(10001,
         (SELECT max(substring(number FROM '^SO-([0-9]{1,15})$')::bigint) FROM sales_order)))""",
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Nothing to take back: the columns go with the revision before."""
