"""numbers and addresses are found by a column: row security lets no index be used on an expression"""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

SPELLED = "regexp_replace(upper({}), '[^A-Z0-9]', '', 'g')"
NUMBERS = {
    "sales_order": ("number", "customer_po"),
    "invoice": ("number",),
    "shipment": ("number", "tracking"),
    "purchase_order": ("number",),
}


def upgrade() -> None:
    for table, columns in NUMBERS.items():
        for column in columns:
            op.execute(f"DROP INDEX ix_{table}_{column}_spelled")
            _derive(table, column, SPELLED.format(column))
    op.drop_index("ix_contact_lower_email", "contact")
    _derive("contact", "email", "lower(email)")
    op.drop_index("ix_proposal_commands", "proposal")
    op.create_table(
        "asked",
        sa.Column("proposal_id", sa.Integer(), sa.ForeignKey("proposal.id", ondelete="CASCADE", name="fk_asked_proposal_id")),
        sa.Column("order_number", sa.Text(), nullable=False),
        sa.Column("filed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("proposal_id", "order_number", name="pk_asked"),
    )
    op.create_index("ix_asked_order_number", "asked", ["order_number", "filed_at"])


def downgrade() -> None:
    op.drop_table("asked")
    op.create_index(
        "ix_proposal_commands",
        "proposal",
        ["commands"],
        postgresql_using="gin",
        postgresql_ops={"commands": "jsonb_path_ops"},
    )
    op.drop_column("contact", "email_key")
    op.create_index("ix_contact_lower_email", "contact", [sa.literal_column("lower(email)")])
    for table, columns in NUMBERS.items():
        for column in columns:
            op.drop_column(table, f"{column}_key")
            op.execute(f"CREATE INDEX ix_{table}_{column}_spelled ON {table} (({SPELLED.format(column)}))")


def _derive(table: str, column: str, expression: str) -> None:
    may_lack = column in ("customer_po", "tracking")
    made = sa.Column(f"{column}_key", sa.Text(), sa.Computed(expression, persisted=True), nullable=may_lack)
    op.add_column(table, made)
    op.create_index(f"ix_{table}_{column}_key", table, [f"{column}_key"])
