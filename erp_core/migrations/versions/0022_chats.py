"""chats with customers"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "chat",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("customer", sa.Text(), sa.ForeignKey("customer.code"), nullable=True),
        sa.Column("staff", sa.Text(), sa.ForeignKey("app_user.email"), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Integer(), sa.ForeignKey("case_file.id"), nullable=True),
        sa.Column("taken_by", sa.Text(), sa.ForeignKey("app_user.email"), nullable=True),
        sa.Column("waiting", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("pending", JSONB(), nullable=True),
        sa.Column("memory", JSONB(), server_default="{}", nullable=False),
        sa.Column("leased_by", sa.Text(), nullable=True),
        sa.Column("leased_until", MOMENT, nullable=True),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("last_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.CheckConstraint("state IN ('asked', 'open', 'handed_over', 'taken', 'closed')", name="state"),
        sa.CheckConstraint(
            "reason IN ('wants_person', 'not_understood', 'complaint', 'not_its_own', 'misleading', 'cannot', 'failed')",
            name="reason",
        ),
    )
    op.create_index("uq_chat_token_hash", "chat", ["token_hash"], unique=True)
    op.create_index("ix_chat_case_id", "chat", ["case_id"])
    op.create_index("ix_chat_waiting", "chat", ["id"], postgresql_where=sa.text("waiting"))
    op.create_index("ix_chat_email", "chat", ["email", "started_at"])
    op.create_table(
        "chat_code",
        sa.Column("chat_id", sa.Integer(), sa.ForeignKey("chat.id"), primary_key=True),
        sa.Column("code_hash", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("chat_code")
    op.drop_table("chat")
