"""the day a supplier agreed to, invoices sent back beside their successors, indexes of what is looked up; columns nobody read are gone"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

KINDS = (
    "'short', 'over', 'damaged', 'unordered', 'late', 'compliance', 'price', 'quantity', 'charges', 'tax', 'currency', "
    "'date', 'duplicate'"
)
INDEXES = {
    "ix_order_line_sku": ("order_line", "sku", None),
    "ix_sales_order_promised": (
        "sales_order",
        "promised_date",
        "status IN ('entered', 'validated', 'allocated', 'released')",
    ),
    "ix_transfer_open": ("transfer", "sku", "status IN ('ordered', 'shipped')"),
    "ix_disruption_supplier": ("disruption", "supplier", None),
    "ix_disruption_purchase_order": ("disruption", "purchase_order", None),
    "ix_discrepancy_disruption_id": ("discrepancy", "disruption_id", None),
    "ix_discrepancy_receipt": ("discrepancy", "receipt", None),
    "ix_supplier_invoice_due": ("supplier_invoice", "due_on", "status IN ('blocked', 'matched', 'approved')"),
}


def upgrade() -> None:
    op.add_column("purchase_order", sa.Column("agreed_date", sa.Date(), nullable=True))
    for table, column in (
        ("purchase_order", "acknowledged_at"),
        ("purchase_order", "received_at"),
        ("supplier", "saved_by"),
        ("supplier_invoice", "matched_at"),
        ("transfer", "for_order"),
    ):
        op.drop_column(table, column)
    op.drop_constraint(op.f("uq_supplier_invoice_supplier_number"), "supplier_invoice")
    op.create_index(
        "uq_supplier_invoice_standing",
        "supplier_invoice",
        ["supplier", "number"],
        unique=True,
        postgresql_where=sa.text("status <> 'rejected'"),
    )
    op.drop_constraint(op.f("ck_discrepancy_kind"), "discrepancy")
    op.create_check_constraint(op.f("ck_discrepancy_kind"), "discrepancy", f"kind IN ({KINDS})")
    for name, (table, column, where) in INDEXES.items():
        op.create_index(name, table, [column], postgresql_where=sa.text(where) if where else None)


def downgrade() -> None:
    for name, (table, _, _) in INDEXES.items():
        op.drop_index(name, table)
    op.drop_constraint(op.f("ck_discrepancy_kind"), "discrepancy")
    op.create_check_constraint(op.f("ck_discrepancy_kind"), "discrepancy", f"kind IN ('unit', {KINDS})")
    op.drop_index("uq_supplier_invoice_standing", "supplier_invoice")
    op.execute("UPDATE supplier_invoice SET number = number || ' (rejected ' || id || ')' WHERE status = 'rejected'")
    op.create_unique_constraint(
        op.f("uq_supplier_invoice_supplier_number"), "supplier_invoice", ["supplier", "number"]
    )
    op.add_column("transfer", sa.Column("for_order", sa.Text(), sa.ForeignKey("sales_order.number"), nullable=True))
    op.add_column("supplier_invoice", sa.Column("matched_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("supplier", sa.Column("saved_by", sa.Text(), nullable=True))
    op.add_column("purchase_order", sa.Column("received_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("purchase_order", sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True))
    op.drop_column("purchase_order", "agreed_date")
