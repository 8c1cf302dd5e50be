"""how far somebody has read the news of the own cases"""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

OPEN = "status IN ('new', 'investigating', 'awaiting_review')"


def upgrade() -> None:
    op.create_table(
        "notice_seen",
        sa.Column("person", sa.Text(), sa.ForeignKey("app_user.email"), primary_key=True),
        sa.Column("entry", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_case_file_assignee", "case_file", ["assignee"], postgresql_where=sa.text(OPEN))
    op.create_index("ix_decision_actor", "decision", ["actor", "decided_at"])


def downgrade() -> None:
    op.drop_index("ix_decision_actor", "decision")
    op.drop_index("ix_case_file_assignee", "case_file")
    op.drop_table("notice_seen")
