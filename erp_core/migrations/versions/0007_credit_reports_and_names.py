"""credit reports of finance; names as vectors"""

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import Vector

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

NAMED = ("customer", "item")


def upgrade() -> None:
    op.add_column("customer", sa.Column("credit_standing", sa.Text(), server_default="good", nullable=False))
    op.add_column("customer", sa.Column("owed_elsewhere", sa.Numeric(16, 2), server_default="0", nullable=False))
    op.add_column("customer", sa.Column("credit_reported_at", sa.DateTime(timezone=True), nullable=True))
    op.create_check_constraint(
        op.f("ck_customer_credit_standing"), "customer", "credit_standing IN ('good', 'stop')"
    )
    for table in NAMED:
        op.add_column(table, sa.Column("name_vector", Vector(64), nullable=True))
        op.create_index(
            f"ix_{table}_name_vector",
            table,
            ["name_vector"],
            postgresql_using="hnsw",
            postgresql_ops={"name_vector": "vector_cosine_ops"},
        )


def downgrade() -> None:
    for table in NAMED:
        op.drop_index(f"ix_{table}_name_vector", table)
        op.drop_column(table, "name_vector")
    op.drop_constraint(op.f("ck_customer_credit_standing"), "customer")
    for column in ("credit_reported_at", "owed_elsewhere", "credit_standing"):
        op.drop_column("customer", column)
