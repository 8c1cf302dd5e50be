"""spans of working time, and when a late case goes on to the next person"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "working_span",
        sa.Column("calendar", sa.Text(), primary_key=True),
        sa.Column("starts", MOMENT, primary_key=True),
        sa.Column("ends", MOMENT, nullable=False),
    )
    op.add_column("case_file", sa.Column("paused_until", MOMENT, nullable=True))
    op.add_column("case_file", sa.Column("escalate_at", MOMENT, nullable=True))
    op.create_index("ix_case_file_escalate_at", "case_file", ["escalate_at"], postgresql_where=sa.text("escalate_at IS NOT NULL"))
    op.create_index("ix_case_file_paused_until", "case_file", ["paused_until"], postgresql_where=sa.text("paused_until IS NOT NULL"))


def downgrade() -> None:
    op.drop_index("ix_case_file_paused_until", "case_file")
    op.drop_index("ix_case_file_escalate_at", "case_file")
    op.drop_column("case_file", "escalate_at")
    op.drop_column("case_file", "paused_until")
    op.drop_table("working_span")
