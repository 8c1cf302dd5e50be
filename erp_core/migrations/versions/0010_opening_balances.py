"""opening balances of the stock ledger; open purchase orders are sent: data only"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

STATEMENTS = [
    """INSERT INTO stock_movement (at, sku, quantity, source, target, reference)
       SELECT now(), sku, quantity_on_hand, 'count', 'warehouse:' || warehouse, 'opening balance'
       FROM stock_level WHERE quantity_on_hand > 0""",
    "UPDATE purchase_order SET status = 'sent' WHERE status = 'open'",
    """UPDATE purchase_order_line l SET quantity_received = l.quantity FROM purchase_order o
       WHERE o.number = l.order_number AND o.status = 'received'""",
]


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute(
        "UPDATE purchase_order SET status = CASE WHEN status IN ('received', 'closed', 'cancelled') THEN 'received' "
        "WHEN status = 'approved' THEN 'approved' ELSE 'open' END"
    )
