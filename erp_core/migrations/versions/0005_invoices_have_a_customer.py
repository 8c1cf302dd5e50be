"""invoices have a customer and a due date"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.alter_column("invoice", "customer", nullable=False)
    op.alter_column("invoice", "due_on", nullable=False)


def downgrade() -> None:
    op.alter_column("invoice", "customer", nullable=True)
    op.alter_column("invoice", "due_on", nullable=True)
