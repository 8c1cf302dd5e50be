"""views that people keep, what is at stake in a queue"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "saved_view",
        sa.Column("person", sa.Text(), sa.ForeignKey("app_user.email"), primary_key=True),
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("query", sa.Text(), nullable=False),
    )
    op.add_column("queue_depth", sa.Column("at_stake", sa.Numeric(16, 2), nullable=False, server_default="0"))
    op.alter_column("queue_depth", "at_stake", server_default=None)


def downgrade() -> None:
    op.drop_column("queue_depth", "at_stake")
    op.drop_table("saved_view")
