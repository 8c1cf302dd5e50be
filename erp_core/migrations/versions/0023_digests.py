"""queues in words, and who gets them by mail"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "summary",
        sa.Column("queue", sa.Text(), primary_key=True),
        sa.Column("entity", sa.Text(), sa.ForeignKey("entity.code"), primary_key=True),
        sa.Column("sentences", JSONB(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "subscription",
        sa.Column("person", sa.Text(), sa.ForeignKey("app_user.email"), primary_key=True),
        sa.Column("queue", sa.Text(), primary_key=True),
        sa.Column("hour", sa.SmallInteger(), nullable=False),
        sa.Column("last_on", sa.Date(), nullable=True),
    )


def downgrade() -> None:
    op.drop_table("subscription")
    op.drop_table("summary")
