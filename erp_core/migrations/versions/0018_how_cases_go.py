"""what was known of a case when it came to its queue, and how likely a model takes it to be late"""

import sqlalchemy as sa
from alembic import op
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


def downgrade() -> None:
    op.drop_index("ix_case_file_came_at", "case_file")
    for column in ("late_chance", "came_as", "came_at"):
        op.drop_column("case_file", column)
