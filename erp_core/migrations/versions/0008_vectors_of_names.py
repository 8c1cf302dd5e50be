"""vectors of the names that are there: data only"""

import sqlalchemy as sa
from alembic import op

from erp_core.rules.names import spelling

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

NAMED = (("customer", "code"), ("item", "sku"))


def upgrade() -> None:
    bind = op.get_bind()
    for table, key in NAMED:
        for found, name in bind.execute(sa.text(f"SELECT {key}, name FROM {table}")).all():
            update = sa.text(f"UPDATE {table} SET name_vector = cast(:vector AS vector) WHERE {key} = :key")
            bind.execute(update, {"vector": str(spelling(name)), "key": found})


def downgrade() -> None:
    """Nothing to take back: the columns go with the revision before."""
