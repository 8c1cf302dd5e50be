"""the cases of an order or a customer, and those with the most money at stake, are found by index"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

OPEN = sa.text("status IN ('new', 'investigating', 'awaiting_review')")


def upgrade() -> None:
    money: list[Any] = ["queue", "band", sa.text("at_stake DESC NULLS LAST"), "id"]
    op.create_index("ix_case_file_money", "case_file", money, postgresql_where=OPEN)
    for name, columns in (("order_number", ["order_number"]), ("customer", ["customer", "id"])):
        named = sa.text(f"{name} IS NOT NULL")
        op.create_index(f"ix_case_file_{name}", "case_file", columns, postgresql_where=named)


def downgrade() -> None:
    for name in ("money", "order_number", "customer"):
        op.drop_index(f"ix_case_file_{name}", "case_file")
