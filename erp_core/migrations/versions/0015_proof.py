"""images of changed rows, the chain over journal and images, seals"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

TRANSACTION = "(pg_current_xact_id()::text)::bigint"


def upgrade() -> None:
    op.add_column("journal_entry", sa.Column("transaction", sa.BigInteger(), nullable=True))
    op.alter_column("journal_entry", "transaction", server_default=sa.text(TRANSACTION))  # a default said later rewrites no row
    op.create_index("ix_journal_entry_transaction", "journal_entry", ["transaction"])
    op.create_table(
        "row_image",
        sa.Column("id", sa.BigInteger(), primary_key=True),
        sa.Column("relation", sa.Text(), nullable=False),
        sa.Column("op", sa.Text(), nullable=False),
        sa.Column("images", postgresql.JSONB(), nullable=False),
        sa.Column("transaction", sa.BigInteger(), nullable=False, server_default=sa.text(TRANSACTION)),
        sa.CheckConstraint("op IN ('I', 'U', 'D', 'B')", name=op.f("ck_row_image_op")),
    )
    op.create_index("ix_row_image_relation", "row_image", ["relation", "id"])
    op.create_table(
        "chain_link",
        sa.Column("position", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.CheckConstraint("source IN ('entry', 'image')", name=op.f("ck_chain_link_source")),
        sa.UniqueConstraint("source", "number", name=op.f("uq_chain_link_source_number")),
    )
    op.create_table(
        "seal",
        sa.Column("position", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    op.execute("DROP FUNCTION IF EXISTS casework.keep_rows() CASCADE")
    for table in ("seal", "chain_link", "row_image"):
        op.drop_table(table)
    op.drop_index("ix_journal_entry_transaction", "journal_entry")
    op.drop_column("journal_entry", "transaction")
