"""what the agent asked about which order, of the proposals there are"""

from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """INSERT INTO asked (proposal_id, order_number, filed_at)
        SELECT DISTINCT p.id, c ->> 'order', p.filed_at FROM proposal p, jsonb_array_elements(p.commands) c
        WHERE p.filed_by = 'agent' AND c ->> 'order' IS NOT NULL"""
    )


def downgrade() -> None:
    pass
