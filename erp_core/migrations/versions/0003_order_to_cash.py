"""order to cash"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None

CHECKS = [
    ("order_line", "allocated_not_negative", "quantity_allocated >= 0"),
    ("order_line", "released_within_allocated", "quantity_released <= quantity_allocated"),
    ("order_line", "invoiced_within_shipped", "quantity_invoiced <= quantity_shipped"),
    ("invoice", "settled_within_amount", "amount_settled <= amount"),
    ("stock_level", "held_not_negative", "quantity_held >= 0"),
]


def upgrade() -> None:
    op.create_table('waiting_event',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('subject', sa.Text(), nullable=False),
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('command', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('received_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('applied_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_waiting_event')),
    sa.UniqueConstraint('key', name=op.f('uq_waiting_event_key'))
    )
    op.create_index(op.f('ix_waiting_event_subject'), 'waiting_event', ['subject'], unique=False)
    op.create_table('item_unit',
    sa.Column('sku', sa.Text(), nullable=False),
    sa.Column('uom', sa.Text(), nullable=False),
    sa.Column('numerator', sa.Integer(), nullable=False),
    sa.Column('denominator', sa.Integer(), server_default='1', nullable=False),
    sa.CheckConstraint('numerator > 0 AND denominator > 0', name=op.f('ck_item_unit_ratio_positive')),
    sa.ForeignKeyConstraint(['sku'], ['item.sku'], name=op.f('fk_item_unit_sku')),
    sa.PrimaryKeyConstraint('sku', 'uom', name=op.f('pk_item_unit'))
    )
    op.create_table('tier_price',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('tier', sa.Text(), nullable=False),
    sa.Column('sku', sa.Text(), nullable=False),
    sa.Column('min_quantity', sa.Numeric(precision=16, scale=3), nullable=False),
    sa.Column('unit_price', sa.Numeric(precision=16, scale=4), nullable=False),
    sa.Column('valid_from', sa.Date(), nullable=False),
    sa.Column('valid_to', sa.Date(), nullable=True),
    sa.CheckConstraint("tier IN ('A', 'B', 'C')", name=op.f('ck_tier_price_tier')),
    sa.ForeignKeyConstraint(['sku'], ['item.sku'], name=op.f('fk_tier_price_sku')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_tier_price')),
    sa.UniqueConstraint('tier', 'sku', 'min_quantity', 'valid_from', name=op.f('uq_tier_price_tier_sku_min_quantity_valid_from'))
    )
    op.create_index(op.f('ix_tier_price_sku'), 'tier_price', ['sku'], unique=False)
    op.create_table('customer_account',
    sa.Column('customer', sa.Text(), nullable=False),
    sa.Column('open_orders', sa.Numeric(precision=16, scale=2), server_default='0', nullable=False),
    sa.Column('order_count', sa.Integer(), server_default='0', nullable=False),
    sa.Column('order_value', sa.Numeric(precision=16, scale=2), server_default='0', nullable=False),
    sa.Column('last_warehouse', sa.Text(), nullable=True),
    sa.ForeignKeyConstraint(['customer'], ['customer.code'], name=op.f('fk_customer_account_customer')),
    sa.PrimaryKeyConstraint('customer', name=op.f('pk_customer_account'))
    )
    op.create_table('customer_item',
    sa.Column('customer', sa.Text(), nullable=False),
    sa.Column('sku', sa.Text(), nullable=False),
    sa.Column('orders', sa.Integer(), nullable=False),
    sa.Column('quantity', sa.Numeric(precision=16, scale=3), nullable=False),
    sa.Column('last_price', sa.Numeric(precision=16, scale=4), nullable=False),
    sa.ForeignKeyConstraint(['customer'], ['customer.code'], name=op.f('fk_customer_item_customer')),
    sa.ForeignKeyConstraint(['sku'], ['item.sku'], name=op.f('fk_customer_item_sku')),
    sa.PrimaryKeyConstraint('customer', 'sku', name=op.f('pk_customer_item'))
    )
    op.create_table('payment',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('customer', sa.Text(), nullable=False),
    sa.Column('reference', sa.Text(), nullable=False),
    sa.Column('amount', sa.Numeric(precision=16, scale=2), nullable=False),
    sa.Column('unapplied', sa.Numeric(precision=16, scale=2), nullable=False),
    sa.Column('received_on', sa.Date(), nullable=False),
    sa.Column('applied', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.CheckConstraint('amount > 0', name=op.f('ck_payment_amount_positive')),
    sa.ForeignKeyConstraint(['customer'], ['customer.code'], name=op.f('fk_payment_customer')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_payment')),
    sa.UniqueConstraint('customer', 'reference', name=op.f('uq_payment_customer_reference'))
    )
    op.create_table('credit_memo',
    sa.Column('number', sa.Text(), nullable=False),
    sa.Column('invoice', sa.Text(), nullable=False),
    sa.Column('amount', sa.Numeric(precision=16, scale=2), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('issued_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint('amount > 0', name=op.f('ck_credit_memo_amount_positive')),
    sa.ForeignKeyConstraint(['invoice'], ['invoice.number'], name=op.f('fk_credit_memo_invoice')),
    sa.PrimaryKeyConstraint('number', name=op.f('pk_credit_memo'))
    )
    op.create_index(op.f('ix_credit_memo_invoice'), 'credit_memo', ['invoice'], unique=False)
    op.create_table('invoice_line',
    sa.Column('invoice', sa.Text(), nullable=False),
    sa.Column('line', sa.Integer(), nullable=False),
    sa.Column('sku', sa.Text(), nullable=False),
    sa.Column('quantity', sa.Numeric(precision=16, scale=3), nullable=False),
    sa.Column('amount', sa.Numeric(precision=16, scale=2), nullable=False),
    sa.ForeignKeyConstraint(['invoice'], ['invoice.number'], name=op.f('fk_invoice_line_invoice')),
    sa.ForeignKeyConstraint(['sku'], ['item.sku'], name=op.f('fk_invoice_line_sku')),
    sa.PrimaryKeyConstraint('invoice', 'line', name=op.f('pk_invoice_line'))
    )
    op.create_table('return_order',
    sa.Column('number', sa.Text(), nullable=False),
    sa.Column('order_number', sa.Text(), nullable=False),
    sa.Column('customer', sa.Text(), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('note', sa.Text(), nullable=False),
    sa.Column('status', sa.Text(), nullable=False),
    sa.Column('requested_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('authorised_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('received_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('closed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('credit_memo', sa.Text(), nullable=True),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.CheckConstraint("reason IN ('damaged', 'defective', 'wrong_item', 'wrong_quantity', 'ordered_in_error', 'no_longer_needed', 'late', 'warranty')", name=op.f('ck_return_order_reason')),
    sa.CheckConstraint("status IN ('requested', 'authorised', 'received', 'credited', 'refused', 'closed')", name=op.f('ck_return_order_status')),
    sa.ForeignKeyConstraint(['credit_memo'], ['credit_memo.number'], name=op.f('fk_return_order_credit_memo')),
    sa.ForeignKeyConstraint(['customer'], ['customer.code'], name=op.f('fk_return_order_customer')),
    sa.ForeignKeyConstraint(['order_number'], ['sales_order.number'], name=op.f('fk_return_order_order_number')),
    sa.PrimaryKeyConstraint('number', name=op.f('pk_return_order'))
    )
    op.create_index(op.f('ix_return_order_order_number'), 'return_order', ['order_number'], unique=False)
    op.create_table('return_line',
    sa.Column('return_number', sa.Text(), nullable=False),
    sa.Column('line', sa.Integer(), nullable=False),
    sa.Column('sku', sa.Text(), nullable=False),
    sa.Column('quantity', sa.Numeric(precision=16, scale=3), nullable=False),
    sa.Column('quantity_received', sa.Numeric(precision=16, scale=3), server_default='0', nullable=False),
    sa.Column('disposition', sa.Text(), nullable=True),
    sa.CheckConstraint("disposition IN ('restock', 'quarantine', 'scrap', 'return_to_supplier')", name=op.f('ck_return_line_disposition')),
    sa.CheckConstraint('quantity > 0', name=op.f('ck_return_line_quantity_positive')),
    sa.ForeignKeyConstraint(['return_number'], ['return_order.number'], name=op.f('fk_return_line_return_number')),
    sa.ForeignKeyConstraint(['sku'], ['item.sku'], name=op.f('fk_return_line_sku')),
    sa.PrimaryKeyConstraint('return_number', 'line', name=op.f('pk_return_line'))
    )
    op.add_column('allocation', sa.Column('expires_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('customer', sa.Column('steward', sa.Text(), nullable=True))
    op.add_column('customer', sa.Column('ships_partial', sa.Boolean(), server_default='false', nullable=False))
    op.add_column('customer', sa.Column('delivery', postgresql.JSONB(astext_type=sa.Text()), server_default='{}', nullable=False))
    op.add_column('customer', sa.Column('rebate_percent', sa.Numeric(precision=7, scale=3), server_default='0', nullable=False))
    op.add_column('customer', sa.Column('discount_percent', sa.Numeric(precision=7, scale=3), server_default='0', nullable=False))
    op.add_column('customer', sa.Column('discount_changed_on', sa.Date(), nullable=True))
    op.add_column('customer', sa.Column('terms_changed_on', sa.Date(), nullable=True))
    op.add_column('customer', sa.Column('limit_expires', sa.Date(), nullable=True))
    op.add_column('customer', sa.Column('credit_excluded', sa.Boolean(), server_default='false', nullable=False))
    op.add_column('customer', sa.Column('tax_exempt', sa.Boolean(), server_default='true', nullable=False))
    op.create_table('bank_account',
    sa.Column('customer', sa.Text(), nullable=False),
    sa.Column('iban', sa.Text(), nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.ForeignKeyConstraint(['customer'], ['customer.code'], name=op.f('fk_bank_account_customer')),
    sa.PrimaryKeyConstraint('customer', name=op.f('pk_bank_account'))
    )
    op.add_column('customer', sa.Column('version', sa.Integer(), server_default='1', nullable=False))
    op.add_column('hold', sa.Column('waived_until', sa.DateTime(timezone=True), nullable=True))
    op.add_column('invoice', sa.Column('customer', sa.Text(), nullable=True))
    op.add_column('invoice', sa.Column('due_on', sa.Date(), nullable=True))
    op.add_column('invoice', sa.Column('tax', sa.Numeric(precision=16, scale=2), server_default='0', nullable=False))
    op.add_column('invoice', sa.Column('amount_settled', sa.Numeric(precision=16, scale=2), server_default='0', nullable=False))
    op.create_index('ix_invoice_owed', 'invoice', ['customer', 'paid_at'], unique=False)
    op.create_index('uq_invoice_shipment', 'invoice', ['shipment'], unique=True, postgresql_where=sa.text('shipment IS NOT NULL'))
    op.create_foreign_key(op.f('fk_invoice_customer'), 'invoice', 'customer', ['customer'], ['code'])
    op.add_column('order_line', sa.Column('quantity_released', sa.Numeric(precision=16, scale=3), server_default='0', nullable=False))
    op.add_column('order_line', sa.Column('quantity_invoiced', sa.Numeric(precision=16, scale=3), server_default='0', nullable=False))
    op.create_index('ix_order_line_short', 'order_line', ['sku'], unique=False, postgresql_where=sa.text('quantity_base > quantity_allocated + quantity_shipped'))
    op.add_column('sales_order', sa.Column('payment_terms_days', sa.Integer(), nullable=True))
    op.add_column('sales_order', sa.Column('expedite_cost', sa.Numeric(precision=16, scale=2), server_default='0', nullable=False))
    op.add_column('sales_order', sa.Column('picked_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('sales_order', sa.Column('packed_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('sales_order', sa.Column('basket', sa.Text(), nullable=True))
    op.create_index('ix_sales_order_basket', 'sales_order', ['customer', 'basket', 'ordered_at'], unique=False)
    op.create_index('ix_sales_order_open', 'sales_order', ['status'], unique=False, postgresql_where=sa.text("status IN ('entered', 'validated', 'allocated', 'released')"))
    op.create_index('ix_sales_order_own_po', 'sales_order', ['customer', sa.literal_column('lower(customer_po)')], unique=False)
    op.add_column('shipment', sa.Column('expected_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('shipment_line', sa.Column('quantity_base', sa.Numeric(precision=16, scale=3), nullable=True))
    op.add_column('stock_level', sa.Column('quantity_held', sa.Numeric(precision=16, scale=3), server_default='0', nullable=False))
    op.add_column('warehouse', sa.Column('capacity', sa.Integer(), nullable=True))
    for table, name, rule in CHECKS:
        op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, rule)
    op.drop_constraint(op.f("ck_stock_level_allocated_within_on_hand"), "stock_level")
    op.create_check_constraint(op.f("ck_stock_level_allocated_within_on_hand"), "stock_level",
        "quantity_allocated + quantity_held <= quantity_on_hand")
    for name in ("order_number", "invoice_number", "credit_memo_number", "return_number"):
        op.execute(f"CREATE SEQUENCE {name} START 10001")


def downgrade() -> None:
    for name in ("order_number", "invoice_number", "credit_memo_number", "return_number"):
        op.execute(f"DROP SEQUENCE {name}")
    op.drop_constraint(op.f("ck_stock_level_allocated_within_on_hand"), "stock_level")
    op.create_check_constraint(op.f("ck_stock_level_allocated_within_on_hand"), "stock_level", "quantity_allocated <= quantity_on_hand")
    for table, name, _ in CHECKS:
        op.drop_constraint(op.f(f"ck_{table}_{name}"), table)
    op.drop_column('warehouse', 'capacity')
    op.drop_column('stock_level', 'quantity_held')
    op.drop_column('shipment_line', 'quantity_base')
    op.drop_column('shipment', 'expected_at')
    op.drop_index('ix_sales_order_own_po', table_name='sales_order')
    op.drop_index('ix_sales_order_open', table_name='sales_order', postgresql_where=sa.text("status IN ('entered', 'validated', 'allocated', 'released')"))
    op.drop_index('ix_sales_order_basket', table_name='sales_order')
    op.drop_column('sales_order', 'basket')
    op.drop_column('sales_order', 'packed_at')
    op.drop_column('sales_order', 'picked_at')
    op.drop_column('sales_order', 'expedite_cost')
    op.drop_column('sales_order', 'payment_terms_days')
    op.drop_index('ix_order_line_short', table_name='order_line', postgresql_where=sa.text('quantity_base > quantity_allocated + quantity_shipped'))
    op.drop_column('order_line', 'quantity_invoiced')
    op.drop_column('order_line', 'quantity_released')
    op.drop_constraint(op.f('fk_invoice_customer'), 'invoice', type_='foreignkey')
    op.drop_index('uq_invoice_shipment', table_name='invoice', postgresql_where=sa.text('shipment IS NOT NULL'))
    op.drop_index('ix_invoice_owed', table_name='invoice')
    op.drop_column('invoice', 'amount_settled')
    op.drop_column('invoice', 'tax')
    op.drop_column('invoice', 'due_on')
    op.drop_column('invoice', 'customer')
    op.drop_column('hold', 'waived_until')
    op.drop_column('customer', 'version')
    op.drop_table('bank_account')
    op.drop_column('customer', 'tax_exempt')
    op.drop_column('customer', 'credit_excluded')
    op.drop_column('customer', 'limit_expires')
    op.drop_column('customer', 'terms_changed_on')
    op.drop_column('customer', 'discount_changed_on')
    op.drop_column('customer', 'discount_percent')
    op.drop_column('customer', 'rebate_percent')
    op.drop_column('customer', 'delivery')
    op.drop_column('customer', 'ships_partial')
    op.drop_column('customer', 'steward')
    op.drop_column('allocation', 'expires_at')
    op.drop_table('return_line')
    op.drop_index(op.f('ix_return_order_order_number'), table_name='return_order')
    op.drop_table('return_order')
    op.drop_table('invoice_line')
    op.drop_index(op.f('ix_credit_memo_invoice'), table_name='credit_memo')
    op.drop_table('credit_memo')
    op.drop_table('payment')
    op.drop_table('customer_item')
    op.drop_table('customer_account')
    op.drop_index(op.f('ix_tier_price_sku'), table_name='tier_price')
    op.drop_table('tier_price')
    op.drop_table('item_unit')
    op.drop_index(op.f('ix_waiting_event_subject'), table_name='waiting_event')
    op.drop_table('waiting_event')
