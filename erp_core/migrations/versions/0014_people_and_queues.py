"""firms and states of people, delegation, scopes of tokens, the stop switch, and what queues need: bands, places, pauses, steps"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

WORDS = postgresql.ARRAY(sa.Text())
MOMENT = sa.DateTime(timezone=True)
OPEN = "status IN ('new', 'investigating', 'awaiting_review')"
BAND = "CASE priority WHEN 'urgent' THEN 0 WHEN 'high' THEN 1 WHEN 'normal' THEN 2 ELSE 3 END"


def upgrade() -> None:
    op.add_column("app_user", sa.Column("entities", WORDS, nullable=False, server_default="{*}"))
    op.add_column("app_user", sa.Column("active", sa.Boolean(), nullable=False, server_default="true"))
    op.add_column("sign_in", sa.Column("name", sa.Text(), nullable=False, server_default=""))
    op.add_column("sign_in", sa.Column("scopes", WORDS, nullable=False, server_default="{*}"))
    op.create_table(
        "delegation",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("giver", sa.Text(), sa.ForeignKey("app_user.email"), nullable=False),
        sa.Column("taker", sa.Text(), sa.ForeignKey("app_user.email"), nullable=False),
        sa.Column("roles", WORDS, nullable=False),
        sa.Column("approval_limit", sa.Numeric(16, 2), nullable=False),
        sa.Column("starts_at", MOMENT, nullable=False),
        sa.Column("ends_at", MOMENT, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("ended_by", sa.Text(), nullable=True),
    )
    op.create_index("ix_delegation_taker", "delegation", ["taker"])
    op.create_table(
        "agent_stop",
        sa.Column("entity", sa.Text(), primary_key=True),
        sa.Column("stopped_by", sa.Text(), nullable=False),
        sa.Column("stopped_at", MOMENT, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
    )
    op.add_column("case_file", sa.Column("entity", sa.Text(), sa.ForeignKey("entity.code"), nullable=True))
    op.add_column("case_file", sa.Column("band", sa.SmallInteger(), sa.Computed(BAND, persisted=True), nullable=False))
    op.add_column("case_file", sa.Column("place", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("case_file", sa.Column("paused_at", MOMENT, nullable=True))
    op.add_column("case_file", sa.Column("paused_for", sa.Text(), nullable=True))
    op.add_column("case_file", sa.Column("breached_at", MOMENT, nullable=True))
    op.add_column("case_file", sa.Column("escalations", sa.SmallInteger(), nullable=False, server_default="0"))
    op.drop_index("ix_case_file_open", "case_file")
    where = sa.text(OPEN)
    op.create_index("ix_case_file_open", "case_file", ["queue", "band", "place", "id"], postgresql_where=where)
    op.create_index("ix_case_file_next", "case_file", ["band", "place", "id"], postgresql_where=where)
    waiting = sa.text(f"{OPEN} AND breached_at IS NULL AND paused_at IS NULL")
    op.create_index("ix_case_file_due", "case_file", ["due_at"], postgresql_where=waiting)
    op.create_table(
        "case_step",
        sa.Column("case_id", sa.Integer(), sa.ForeignKey("case_file.id"), primary_key=True),
        sa.Column("step", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("checked_by", sa.Text(), nullable=False),
        sa.Column("checked_at", MOMENT, nullable=False),
    )
    op.create_table(
        "case_view",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("case_id", sa.Integer(), sa.ForeignKey("case_file.id"), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=True),
        sa.Column("seen_at", MOMENT, nullable=False),
    )
    op.create_index("ix_case_view_case_id", "case_view", ["case_id"])
    op.create_table(
        "queue_depth",
        sa.Column("entity", sa.Text(), primary_key=True),
        sa.Column("queue", sa.Text(), primary_key=True),
        sa.Column("open", sa.Integer(), nullable=False),
        sa.Column("late", sa.Integer(), nullable=False),
        sa.Column("to_sign", sa.Integer(), nullable=False),
        sa.Column("counted_at", MOMENT, nullable=False),
    )


def downgrade() -> None:
    for table in ("queue_depth", "case_view", "case_step"):
        op.drop_table(table)
    for index in ("ix_case_file_due", "ix_case_file_next", "ix_case_file_open"):
        op.drop_index(index, "case_file")
    for column in ("escalations", "breached_at", "paused_for", "paused_at", "place", "band", "entity"):
        op.drop_column("case_file", column)
    op.create_index(
        "ix_case_file_open",
        "case_file",
        ["queue", "due_at"],
        postgresql_where=sa.text("status NOT IN ('resolved', 'dismissed')"),
    )
    op.drop_table("agent_stop")
    op.drop_table("delegation")
    op.drop_column("sign_in", "scopes")
    op.drop_column("sign_in", "name")
    op.drop_column("app_user", "active")
    op.drop_column("app_user", "entities")
