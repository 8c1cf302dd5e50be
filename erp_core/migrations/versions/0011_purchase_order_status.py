"""the lifecycle of purchase orders"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

STATUSES = "'draft', 'approved', 'sent', 'acknowledged', 'receiving', 'received', 'closed', 'cancelled'"


def upgrade() -> None:
    op.create_check_constraint(op.f("ck_purchase_order_status"), "purchase_order", f"status IN ({STATUSES})")


def downgrade() -> None:
    op.drop_constraint(op.f("ck_purchase_order_status"), "purchase_order")
