"""which process leads; indexes for numbers as people write them"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NUMBERS = [
    ("sales_order", "number"),
    ("sales_order", "customer_po"),
    ("invoice", "number"),
    ("shipment", "number"),
    ("shipment", "tracking"),
    ("purchase_order", "number"),
]


def upgrade() -> None:
    op.create_table(
        "leadership",
        sa.Column("work", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("work", name=op.f("pk_leadership")),
    )
    for table, column in NUMBERS:
        spelled = f"regexp_replace(upper({column}), '[^A-Z0-9]', '', 'g')"
        op.execute(f"CREATE INDEX ix_{table}_{column}_spelled ON {table} (({spelled}))")


def downgrade() -> None:
    for table, column in NUMBERS:
        op.execute(f"DROP INDEX ix_{table}_{column}_spelled")
    op.drop_table("leadership")
