"""proposals made wrong on purpose, and whether people saw it"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "drill",
        sa.Column("proposal_id", sa.Integer(), sa.ForeignKey("proposal.id"), primary_key=True),
        sa.Column("case_id", sa.Integer(), sa.ForeignKey("case_file.id"), nullable=False),
        sa.Column("instead_of", sa.Integer(), sa.ForeignKey("proposal.id"), nullable=False),
        sa.Column("wrong", sa.Text(), nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", MOMENT, nullable=True),
        sa.CheckConstraint("outcome IN ('caught', 'missed', 'expired')", name="outcome"),
    )
    op.create_index("ix_drill_case_id", "drill", ["case_id"])


def downgrade() -> None:
    op.drop_table("drill")
