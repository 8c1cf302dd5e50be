"""what was known of a case when it came to its queue, and how likely a model takes it to be late; what new orders hold, as vectors"""

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import Vector
from sqlalchemy.dialects.postgresql import JSONB

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("case_file", sa.Column("came_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("case_file", sa.Column("came_as", JSONB(), nullable=True))
    op.add_column("case_file", sa.Column("late_chance", sa.Float(), nullable=True))
    op.create_index("ix_case_file_came_at", "case_file", ["came_at"])
    op.create_table(
        "order_goods",
        sa.Column("order_number", sa.Text(), sa.ForeignKey("sales_order.number", ondelete="CASCADE"), primary_key=True),
        sa.Column("customer", sa.Text(), nullable=False),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("goods", Vector(256), nullable=False),
    )
    op.create_index("ix_order_goods_placed_at", "order_goods", ["placed_at"])
    op.create_index("ix_order_goods_goods", "order_goods", ["goods"], postgresql_using="hnsw", postgresql_ops={"goods": "vector_cosine_ops"})


def downgrade() -> None:
    op.drop_table("order_goods")
    op.drop_index("ix_case_file_came_at", "case_file")
    for column in ("late_chance", "came_as", "came_at"):
        op.drop_column("case_file", column)
