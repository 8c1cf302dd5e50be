"""policies are versions with texts, activations and backtests"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("policy_version", sa.Column("numbers", sa.Text(), nullable=False, server_default=""))
    op.add_column("policy_version", sa.Column("authority", sa.Text(), nullable=False, server_default=""))
    op.add_column("policy_version", sa.Column("summary", sa.Text(), nullable=False, server_default="As it shipped"))
    op.add_column("policy_version", sa.Column("author", sa.Text(), nullable=False, server_default="shipped"))
    op.add_column("policy_version", sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("policy_version", sa.Column("based_on", sa.Integer(), sa.ForeignKey("policy_version.id"), nullable=True))
    op.execute("UPDATE policy_version SET proposed_at = activated_at")
    op.alter_column("policy_version", "proposed_at", nullable=False)
    for column in ("numbers", "authority", "summary", "author"):
        op.alter_column("policy_version", column, server_default=None)
    op.create_table(
        "policy_activation",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("version", sa.Integer(), sa.ForeignKey("policy_version.id"), nullable=False),
        sa.Column("active_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("activated_by", sa.Text(), nullable=False),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
    )
    op.create_index("ix_policy_activation_active_from", "policy_activation", ["active_from"])
    op.create_table(
        "policy_backtest",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("version", sa.Integer(), sa.ForeignKey("policy_version.id"), nullable=False),
        sa.Column("against", sa.Integer(), sa.ForeignKey("policy_version.id"), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("result", sa.dialects.postgresql.JSONB(), nullable=False),
        sa.Column("run_by", sa.Text(), nullable=False),
        sa.Column("run_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_policy_backtest_version", "policy_backtest", ["version"])
    op.execute(
        "INSERT INTO policy_activation (version, active_from, activated_by, activated_at, reason) "
        "SELECT id, activated_at, 'shipped', activated_at, summary FROM policy_version"
    )
    op.drop_column("policy_version", "activated_at")


def downgrade() -> None:
    op.add_column("policy_version", sa.Column("activated_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE policy_version SET activated_at = proposed_at")
    op.alter_column("policy_version", "activated_at", nullable=False)
    op.drop_table("policy_backtest")
    op.drop_table("policy_activation")
    for column in ("based_on", "proposed_at", "author", "summary", "authority", "numbers"):
        op.drop_column("policy_version", column)
