"""versions of models and prompts, their reports and uses, what they predicted, and samples from feedback"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "model_version",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("data_digest", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("figures", JSONB(), nullable=False),
        sa.Column("trained_by", sa.Text(), nullable=False),
        sa.Column("trained_at", MOMENT, nullable=False),
        sa.CheckConstraint("kind IN ('model', 'prompt')", name="kind"),
        sa.UniqueConstraint("name", "sha256"),
    )
    op.create_table(
        "model_report",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("version", sa.Integer(), sa.ForeignKey("model_version.id"), nullable=False),
        sa.Column("against", sa.Integer(), sa.ForeignKey("model_version.id"), nullable=True),
        sa.Column("figures", JSONB(), nullable=False),
        sa.Column("gate", JSONB(), nullable=False),
        sa.Column("problems", JSONB(), nullable=False),
        sa.Column("run_by", sa.Text(), nullable=False),
        sa.Column("run_at", MOMENT, nullable=False),
    )
    op.create_index("ix_model_report_version", "model_report", ["version"])
    op.create_table(
        "model_use",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("use", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), sa.ForeignKey("model_version.id"), nullable=True),
        sa.Column("report", sa.Integer(), sa.ForeignKey("model_report.id"), nullable=True),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("said_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint("use IN ('champion', 'shadow')", name="use"),
    )
    op.create_index("ix_model_use_name", "model_use", ["name", "use", "since"])
    op.create_table(
        "prediction",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("version", sa.Integer(), sa.ForeignKey("model_version.id"), nullable=False),
        sa.Column("use", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("low", sa.Float(), nullable=True),
        sa.Column("high", sa.Float(), nullable=True),
        sa.Column("reasons", JSONB(), nullable=False),
        sa.Column("features", JSONB(), nullable=True),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.Column("outcome", sa.Float(), nullable=True),
        sa.Column("outcome_at", MOMENT, nullable=True),
        sa.CheckConstraint("use IN ('champion', 'shadow')", name="use"),
    )
    op.create_index("ix_prediction_subject", "prediction", ["subject", "question", "use", "id"])
    op.create_index("ix_prediction_version", "prediction", ["version", "asked_at"])
    op.create_table(
        "feedback_sample",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("case_id", sa.Integer(), sa.ForeignKey("case_file.id"), nullable=False),
        sa.Column("content", JSONB(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("kept_by", sa.Text(), nullable=False),
        sa.Column("kept_at", MOMENT, nullable=False),
        sa.Column("reviewed_by", sa.Text(), nullable=True),
        sa.Column("reviewed_at", MOMENT, nullable=True),
        sa.CheckConstraint("status IN ('proposed', 'accepted', 'refused')", name="status"),
        sa.UniqueConstraint("case_id"),
    )


def downgrade() -> None:
    for name in ("feedback_sample", "prediction", "model_use", "model_report", "model_version"):
        op.drop_table(name)
