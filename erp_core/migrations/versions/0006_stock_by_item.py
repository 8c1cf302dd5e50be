"""stock levels are found by item"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_stock_level_sku", "stock_level", ["sku"])


def downgrade() -> None:
    op.drop_index("ix_stock_level_sku", "stock_level")
