"""texts that are looked up by what they mean"""

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import Vector

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "passage",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Integer(), sa.ForeignKey("case_file.id"), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("embedder", sa.Text(), nullable=False),
        sa.Column("vector", Vector(256), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('case', 'policy', 'playbook')", name="kind"),
        sa.UniqueConstraint("kind", "subject"),
    )
    op.create_index("ix_passage_case_id", "passage", ["case_id"])
    op.create_index(
        "ix_passage_vector", "passage", ["vector"], postgresql_using="hnsw", postgresql_ops={"vector": "vector_cosine_ops"}
    )


def downgrade() -> None:
    op.drop_table("passage")
