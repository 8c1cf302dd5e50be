"""proposals shown with something wrong in them on purpose, and whether people saw it"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "drill",
        sa.Column("proposal_id", sa.Integer(), sa.ForeignKey("proposal.id"), primary_key=True, autoincrement=False),
        sa.Column("case_id", sa.Integer(), sa.ForeignKey("case_file.id"), nullable=False),
        sa.Column("commands", JSONB(), nullable=False),
        sa.Column("versions", JSONB(), nullable=False),
        sa.Column("wrong", sa.Text(), nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", MOMENT, nullable=True),
        sa.CheckConstraint("outcome IN ('caught', 'missed', 'left')", name="outcome"),
    )
    op.create_index("ix_drill_case_id", "drill", ["case_id"])


def downgrade() -> None:
    op.drop_table("drill")
