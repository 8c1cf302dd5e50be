"""The newest shipments, invoices and counts are found by index: a figure's page shows the rows of the latest, whatever came before."""

from __future__ import annotations

from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

NEWEST = (("shipment", "shipped_at"), ("invoice", "invoiced_at"), ("kpi_day", "counted_at"))


def upgrade() -> None:
    for table, column in NEWEST:
        op.create_index(f"ix_{table}_{column}", table, [column])


def downgrade() -> None:
    for table, column in NEWEST:
        op.drop_index(f"ix_{table}_{column}", table)
