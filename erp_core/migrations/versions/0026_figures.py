"""key figures by day, as the clock counted them; orders are found by when they came"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

CUTS = ("entity", "warehouse", "channel", "segment", "supplier", "reason")


def upgrade() -> None:
    op.create_table(
        "kpi_day",
        sa.Column("kpi", sa.Text(), primary_key=True),
        sa.Column("day", sa.Date(), primary_key=True),
        *(sa.Column(name, sa.Text(), primary_key=True) for name in CUTS),
        sa.Column("value", sa.Numeric(), nullable=False),
        sa.Column("weight", sa.Numeric(), nullable=False),
        sa.Column("counted_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_sales_order_ordered_at", "sales_order", ["ordered_at"])
    op.create_index("ix_case_file_opened_at", "case_file", ["opened_at"])
    op.create_index("ix_case_file_resolved_at", "case_file", ["resolved_at"])


def downgrade() -> None:
    op.drop_index("ix_case_file_resolved_at", "case_file")
    op.drop_index("ix_case_file_opened_at", "case_file")
    op.drop_index("ix_sales_order_ordered_at", "sales_order")
    op.drop_table("kpi_day")
