"""proposals are found by their case and by the orders they touch"""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_proposal_case_id", "proposal", ["case_id"])
    op.create_index(
        "ix_proposal_commands",
        "proposal",
        ["commands"],
        postgresql_using="gin",
        postgresql_ops={"commands": "jsonb_path_ops"},
    )


def downgrade() -> None:
    op.drop_index("ix_proposal_commands", "proposal")
    op.drop_index("ix_proposal_case_id", "proposal")
