"""open cases are looked up by what they mean"""

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _kinds("'case', 'open', 'policy', 'playbook'")


def downgrade() -> None:
    op.execute("DELETE FROM passage WHERE kind = 'open'")
    _kinds("'case', 'policy', 'playbook'")


def _kinds(listed: str) -> None:
    op.drop_constraint(op.f("ck_passage_kind"), "passage", type_="check")
    op.create_check_constraint(op.f("ck_passage_kind"), "passage", f"kind IN ({listed})")
