"""purchasing, receipts, supplier invoices, transfers, quarantine and the stock ledger"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

SEQUENCES = ("purchase_order_number", "transfer_number")
CHECKS = [
    ("purchase_order_line", "received_not_negative", "quantity_received >= 0"),
    ("purchase_order_line", "invoiced_not_negative", "quantity_invoiced >= 0"),
    ("supplier", "status", "status IN ('active', 'blocked')"),
    ("stock_level", "set_aside_not_negative", "quantity_set_aside >= 0"),
]
WITHIN = "ck_stock_level_allocated_within_on_hand"


def upgrade() -> None:
    op.create_table('tolerance',
    sa.Column('scope', sa.Text(), nullable=False),
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('short_percent', sa.Numeric(precision=7, scale=3), nullable=True),
    sa.Column('over_percent', sa.Numeric(precision=7, scale=3), nullable=True),
    sa.Column('price_percent', sa.Numeric(precision=7, scale=3), nullable=True),
    sa.Column('amount', sa.Numeric(precision=16, scale=2), nullable=True),
    sa.Column('block_percent', sa.Numeric(precision=7, scale=3), nullable=True),
    sa.CheckConstraint("scope IN ('entity', 'supplier', 'item')", name=op.f('ck_tolerance_scope')),
    sa.PrimaryKeyConstraint('scope', 'key', name=op.f('pk_tolerance'))
    )
    op.create_table('item_source',
    sa.Column('sku', sa.Text(), nullable=False),
    sa.Column('supplier', sa.Text(), nullable=False),
    sa.Column('priority', sa.Integer(), server_default='1', nullable=False),
    sa.Column('unit_cost', sa.Numeric(precision=16, scale=4), nullable=False),
    sa.Column('pack_size', sa.Numeric(precision=16, scale=3), server_default='1', nullable=False),
    sa.Column('minimum_quantity', sa.Numeric(precision=16, scale=3), server_default='0', nullable=False),
    sa.Column('lead_time_days', sa.Integer(), nullable=True),
    sa.CheckConstraint('pack_size > 0', name=op.f('ck_item_source_pack_positive')),
    sa.ForeignKeyConstraint(['sku'], ['item.sku'], name=op.f('fk_item_source_sku')),
    sa.ForeignKeyConstraint(['supplier'], ['supplier.code'], name=op.f('fk_item_source_supplier')),
    sa.PrimaryKeyConstraint('sku', 'supplier', name=op.f('pk_item_source'))
    )
    op.create_table('stock_movement',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('sku', sa.Text(), nullable=False),
    sa.Column('quantity', sa.Numeric(precision=16, scale=3), nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('target', sa.Text(), nullable=False),
    sa.Column('reference', sa.Text(), nullable=False),
    sa.CheckConstraint('quantity > 0', name=op.f('ck_stock_movement_quantity_positive')),
    sa.CheckConstraint('source <> target', name=op.f('ck_stock_movement_goes_somewhere')),
    sa.ForeignKeyConstraint(['sku'], ['item.sku'], name=op.f('fk_stock_movement_sku')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_stock_movement'))
    )
    op.create_index('ix_stock_movement_source', 'stock_movement', ['source', 'sku'], unique=False)
    op.create_index('ix_stock_movement_target', 'stock_movement', ['target', 'sku'], unique=False)
    op.create_table('quarantined',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('warehouse', sa.Text(), nullable=False),
    sa.Column('sku', sa.Text(), nullable=False),
    sa.Column('quantity', sa.Numeric(precision=16, scale=3), nullable=False),
    sa.Column('lot', sa.Text(), nullable=True),
    sa.Column('order_line', sa.Integer(), nullable=True),
    sa.Column('reference', sa.Text(), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('since', sa.DateTime(timezone=True), nullable=False),
    sa.Column('outcome', sa.Text(), nullable=True),
    sa.Column('settled_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("outcome IN ('released', 'scrapped', 'returned_to_supplier')", name=op.f('ck_quarantined_outcome')),
    sa.CheckConstraint('quantity > 0', name=op.f('ck_quarantined_quantity_positive')),
    sa.ForeignKeyConstraint(['sku'], ['item.sku'], name=op.f('fk_quarantined_sku')),
    sa.ForeignKeyConstraint(['warehouse'], ['warehouse.code'], name=op.f('fk_quarantined_warehouse')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_quarantined'))
    )
    op.create_index('ix_quarantined_open', 'quarantined', ['warehouse', 'sku'], unique=False, postgresql_where=sa.text('outcome IS NULL'))
    op.create_index(op.f('ix_quarantined_reference'), 'quarantined', ['reference'], unique=False)
    op.create_table('disruption',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('subject', sa.Text(), nullable=False),
    sa.Column('title', sa.Text(), nullable=False),
    sa.Column('supplier', sa.Text(), nullable=True),
    sa.Column('purchase_order', sa.Text(), nullable=True),
    sa.Column('opened_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('closed_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['purchase_order'], ['purchase_order.number'], name=op.f('fk_disruption_purchase_order')),
    sa.ForeignKeyConstraint(['supplier'], ['supplier.code'], name=op.f('fk_disruption_supplier')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_disruption'))
    )
    op.create_index('uq_disruption_open', 'disruption', ['subject'], unique=True, postgresql_where=sa.text('closed_at IS NULL'))
    op.create_table('receipt',
    sa.Column('number', sa.Text(), nullable=False),
    sa.Column('purchase_order', sa.Text(), nullable=True),
    sa.Column('order_named', sa.Text(), nullable=True),
    sa.Column('warehouse', sa.Text(), nullable=False),
    sa.Column('received_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('recorded_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('recorded_by', sa.Text(), nullable=False),
    sa.Column('put_away_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['purchase_order'], ['purchase_order.number'], name=op.f('fk_receipt_purchase_order')),
    sa.ForeignKeyConstraint(['warehouse'], ['warehouse.code'], name=op.f('fk_receipt_warehouse')),
    sa.PrimaryKeyConstraint('number', name=op.f('pk_receipt'))
    )
    op.create_index('ix_receipt_purchase_order', 'receipt', ['purchase_order'], unique=False)
    op.create_table('supplier_invoice',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('supplier', sa.Text(), nullable=False),
    sa.Column('number', sa.Text(), nullable=False),
    sa.Column('purchase_order', sa.Text(), nullable=True),
    sa.Column('order_named', sa.Text(), nullable=True),
    sa.Column('invoiced_at', sa.Date(), nullable=False),
    sa.Column('due_on', sa.Date(), nullable=False),
    sa.Column('currency', sa.Text(), nullable=False),
    sa.Column('amount', sa.Numeric(precision=16, scale=2), nullable=False),
    sa.Column('tax', sa.Numeric(precision=16, scale=2), server_default='0', nullable=False),
    sa.Column('charges', sa.Numeric(precision=16, scale=2), server_default='0', nullable=False),
    sa.Column('status', sa.Text(), nullable=False),
    sa.Column('recorded_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('recorded_by', sa.Text(), nullable=False),
    sa.Column('facts_hash', sa.Text(), nullable=True),
    sa.Column('approved_by', sa.Text(), nullable=True),
    sa.Column('matched_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('paid_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.CheckConstraint("status IN ('blocked', 'matched', 'approved', 'rejected', 'paid')", name=op.f('ck_supplier_invoice_status')),
    sa.ForeignKeyConstraint(['purchase_order'], ['purchase_order.number'], name=op.f('fk_supplier_invoice_purchase_order')),
    sa.ForeignKeyConstraint(['supplier'], ['supplier.code'], name=op.f('fk_supplier_invoice_supplier')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_supplier_invoice')),
    sa.UniqueConstraint('supplier', 'number', name=op.f('uq_supplier_invoice_supplier_number'))
    )
    op.create_index('ix_supplier_invoice_order', 'supplier_invoice', ['purchase_order'], unique=False)
    op.create_table('transfer',
    sa.Column('number', sa.Text(), nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('target', sa.Text(), nullable=False),
    sa.Column('sku', sa.Text(), nullable=False),
    sa.Column('quantity', sa.Numeric(precision=16, scale=3), nullable=False),
    sa.Column('quantity_shipped', sa.Numeric(precision=16, scale=3), server_default='0', nullable=False),
    sa.Column('quantity_received', sa.Numeric(precision=16, scale=3), server_default='0', nullable=False),
    sa.Column('status', sa.Text(), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('cost', sa.Numeric(precision=16, scale=2), nullable=False),
    sa.Column('price', sa.Numeric(precision=16, scale=2), nullable=True),
    sa.Column('intercompany', sa.Boolean(), nullable=False),
    sa.Column('for_order', sa.Text(), nullable=True),
    sa.Column('expected_date', sa.Date(), nullable=True),
    sa.Column('ordered_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('ordered_by', sa.Text(), nullable=False),
    sa.Column('shipped_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('received_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.CheckConstraint("status IN ('ordered', 'shipped', 'received', 'cancelled')", name=op.f('ck_transfer_status')),
    sa.CheckConstraint('quantity > 0', name=op.f('ck_transfer_quantity_positive')),
    sa.ForeignKeyConstraint(['sku'], ['item.sku'], name=op.f('fk_transfer_sku')),
    sa.CheckConstraint('source <> target', name=op.f('ck_transfer_goes_somewhere')),
    sa.ForeignKeyConstraint(['for_order'], ['sales_order.number'], name=op.f('fk_transfer_for_order')),
    sa.ForeignKeyConstraint(['source'], ['warehouse.code'], name=op.f('fk_transfer_source')),
    sa.ForeignKeyConstraint(['target'], ['warehouse.code'], name=op.f('fk_transfer_target')),
    sa.PrimaryKeyConstraint('number', name=op.f('pk_transfer'))
    )
    op.create_index(op.f('ix_transfer_target'), 'transfer', ['target'], unique=False)
    op.create_table('discrepancy',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('disruption_id', sa.Integer(), nullable=True),
    sa.Column('purchase_order', sa.Text(), nullable=True),
    sa.Column('receipt', sa.Text(), nullable=True),
    sa.Column('invoice_id', sa.Integer(), nullable=True),
    sa.Column('sku', sa.Text(), nullable=True),
    sa.Column('expected', sa.Text(), nullable=False),
    sa.Column('actual', sa.Text(), nullable=False),
    sa.Column('amount', sa.Numeric(precision=16, scale=2), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('found_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('settled_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('settled_how', sa.Text(), nullable=True),
    sa.CheckConstraint("kind IN ('short', 'over', 'damaged', 'unordered', 'unit', 'late', 'compliance', 'price', 'quantity', 'charges', 'tax', 'currency', 'date', 'duplicate')", name=op.f('ck_discrepancy_kind')),
    sa.ForeignKeyConstraint(['disruption_id'], ['disruption.id'], name=op.f('fk_discrepancy_disruption_id')),
    sa.ForeignKeyConstraint(['invoice_id'], ['supplier_invoice.id'], name=op.f('fk_discrepancy_invoice_id')),
    sa.ForeignKeyConstraint(['purchase_order'], ['purchase_order.number'], name=op.f('fk_discrepancy_purchase_order')),
    sa.ForeignKeyConstraint(['receipt'], ['receipt.number'], name=op.f('fk_discrepancy_receipt')),
    sa.ForeignKeyConstraint(['sku'], ['item.sku'], name=op.f('fk_discrepancy_sku')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_discrepancy'))
    )
    op.create_index('ix_discrepancy_invoice', 'discrepancy', ['invoice_id'], unique=False)
    op.create_index('ix_discrepancy_order', 'discrepancy', ['purchase_order'], unique=False)
    op.create_table('receipt_line',
    sa.Column('receipt', sa.Text(), nullable=False),
    sa.Column('line', sa.Integer(), nullable=False),
    sa.Column('order_line', sa.Integer(), nullable=True),
    sa.Column('sku', sa.Text(), nullable=False),
    sa.Column('quantity', sa.Numeric(precision=16, scale=3), nullable=False),
    sa.Column('quantity_damaged', sa.Numeric(precision=16, scale=3), server_default='0', nullable=False),
    sa.Column('quantity_set_apart', sa.Numeric(precision=16, scale=3), server_default='0', nullable=False),
    sa.Column('lot', sa.Text(), nullable=True),
    sa.Column('compliant', sa.Boolean(), server_default='true', nullable=False),
    sa.ForeignKeyConstraint(['receipt'], ['receipt.number'], name=op.f('fk_receipt_line_receipt')),
    sa.ForeignKeyConstraint(['sku'], ['item.sku'], name=op.f('fk_receipt_line_sku')),
    sa.PrimaryKeyConstraint('receipt', 'line', name=op.f('pk_receipt_line'))
    )
    op.create_index(op.f('ix_receipt_line_sku'), 'receipt_line', ['sku'], unique=False)
    op.create_table('supplier_invoice_line',
    sa.Column('invoice_id', sa.Integer(), nullable=False),
    sa.Column('line', sa.Integer(), nullable=False),
    sa.Column('order_line', sa.Integer(), nullable=True),
    sa.Column('sku', sa.Text(), nullable=False),
    sa.Column('quantity', sa.Numeric(precision=16, scale=3), nullable=False),
    sa.Column('unit_price', sa.Numeric(precision=16, scale=4), nullable=False),
    sa.ForeignKeyConstraint(['invoice_id'], ['supplier_invoice.id'], name=op.f('fk_supplier_invoice_line_invoice_id')),
    sa.ForeignKeyConstraint(['sku'], ['item.sku'], name=op.f('fk_supplier_invoice_line_sku')),
    sa.PrimaryKeyConstraint('invoice_id', 'line', name=op.f('pk_supplier_invoice_line'))
    )
    op.add_column('case_file', sa.Column('disruption_id', sa.Integer(), nullable=True))
    op.create_index('ix_case_file_subject', 'case_file', ['subject', 'kind'])
    op.create_index(op.f('ix_case_file_disruption_id'), 'case_file', ['disruption_id'], unique=False)
    op.create_foreign_key(op.f('fk_case_file_disruption_id'), 'case_file', 'disruption', ['disruption_id'], ['id'])
    op.add_column('item', sa.Column('lot_required', sa.Boolean(), server_default='false', nullable=False))
    op.add_column('item', sa.Column('quality_check', sa.Boolean(), server_default='false', nullable=False))
    op.add_column('purchase_order', sa.Column('reason', sa.Text(), server_default='', nullable=False))
    op.add_column('purchase_order', sa.Column('asked_by', sa.Text(), nullable=True))
    op.add_column('purchase_order', sa.Column('approved_by', sa.Text(), nullable=True))
    op.add_column('purchase_order', sa.Column('acknowledged_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('purchase_order', sa.Column('received_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('purchase_order', sa.Column('version', sa.Integer(), server_default='1', nullable=False))
    op.add_column('purchase_order_line', sa.Column('expected_date', sa.Date(), nullable=True))
    op.add_column('purchase_order_line', sa.Column('quantity_received', sa.Numeric(precision=16, scale=3), server_default='0', nullable=False))
    op.add_column('purchase_order_line', sa.Column('quantity_damaged', sa.Numeric(precision=16, scale=3), server_default='0', nullable=False))
    op.add_column('purchase_order_line', sa.Column('quantity_invoiced', sa.Numeric(precision=16, scale=3), server_default='0', nullable=False))
    op.add_column('stock_level', sa.Column('quantity_set_aside', sa.Numeric(precision=16, scale=3), server_default='0', nullable=False))
    op.add_column('stock_level', sa.Column('quantity_free', sa.Numeric(precision=16, scale=3), sa.Computed('quantity_on_hand - quantity_allocated - quantity_held - quantity_set_aside', persisted=True), nullable=False))
    op.add_column('supplier', sa.Column('email', sa.Text(), nullable=True))
    op.add_column('supplier', sa.Column('status', sa.Text(), server_default='active', nullable=False))
    op.add_column('supplier', sa.Column('three_way', sa.Boolean(), server_default='true', nullable=False))
    op.add_column('supplier', sa.Column('saved_by', sa.Text(), nullable=True))
    op.add_column('supplier', sa.Column('version', sa.Integer(), server_default='1', nullable=False))
    for table, name, condition in CHECKS:
        op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, condition)
    op.drop_constraint(op.f(WITHIN), "stock_level")
    op.create_check_constraint(
        op.f(WITHIN), "stock_level", "quantity_allocated + quantity_held + quantity_set_aside <= quantity_on_hand"
    )
    # what was called open becomes sent in the next revision
    op.drop_constraint(op.f("ck_purchase_order_status"), "purchase_order")
    for name in SEQUENCES:
        op.execute(f"CREATE SEQUENCE {name} START 10001")


def downgrade() -> None:
    for name in SEQUENCES:
        op.execute(f"DROP SEQUENCE {name}")
    op.execute("ALTER TABLE purchase_order ADD CONSTRAINT ck_purchase_order_status "
               "CHECK (status IN ('open', 'approved', 'received')) NOT VALID")
    op.drop_constraint(op.f(WITHIN), "stock_level")
    op.create_check_constraint(op.f(WITHIN), "stock_level", "quantity_allocated + quantity_held <= quantity_on_hand")
    for table, name, _ in reversed(CHECKS):
        op.drop_constraint(op.f(f"ck_{table}_{name}"), table)
    op.drop_column('supplier', 'version')
    op.drop_column('supplier', 'three_way')
    op.drop_column('supplier', 'saved_by')
    op.drop_column('supplier', 'status')
    op.drop_column('supplier', 'email')
    op.drop_column('stock_level', 'quantity_free')
    op.drop_column('stock_level', 'quantity_set_aside')
    op.drop_column('purchase_order_line', 'quantity_invoiced')
    op.drop_column('purchase_order_line', 'quantity_damaged')
    op.drop_column('purchase_order_line', 'quantity_received')
    op.drop_column('purchase_order_line', 'expected_date')
    op.drop_column('purchase_order', 'version')
    op.drop_column('purchase_order', 'received_at')
    op.drop_column('purchase_order', 'acknowledged_at')
    op.drop_column('purchase_order', 'approved_by')
    op.drop_column('purchase_order', 'asked_by')
    op.drop_column('purchase_order', 'reason')
    op.drop_column('item', 'quality_check')
    op.drop_column('item', 'lot_required')
    op.drop_constraint(op.f('fk_case_file_disruption_id'), 'case_file', type_='foreignkey')
    op.drop_index('ix_case_file_subject', 'case_file')
    op.drop_index(op.f('ix_case_file_disruption_id'), table_name='case_file')
    op.drop_column('case_file', 'disruption_id')
    op.drop_table('supplier_invoice_line')
    op.drop_index(op.f('ix_receipt_line_sku'), table_name='receipt_line')
    op.drop_table('receipt_line')
    op.drop_index('ix_discrepancy_order', table_name='discrepancy')
    op.drop_index('ix_discrepancy_invoice', table_name='discrepancy')
    op.drop_table('discrepancy')
    op.drop_index(op.f('ix_transfer_target'), table_name='transfer')
    op.drop_table('transfer')
    op.drop_index('ix_supplier_invoice_order', table_name='supplier_invoice')
    op.drop_table('supplier_invoice')
    op.drop_index('ix_receipt_purchase_order', table_name='receipt')
    op.drop_table('receipt')
    op.drop_index('uq_disruption_open', table_name='disruption', postgresql_where=sa.text('closed_at IS NULL'))
    op.drop_table('disruption')
    op.drop_index(op.f('ix_quarantined_reference'), table_name='quarantined')
    op.drop_index('ix_quarantined_open', table_name='quarantined', postgresql_where=sa.text('outcome IS NULL'))
    op.drop_table('quarantined')
    op.drop_index('ix_stock_movement_target', table_name='stock_movement')
    op.drop_index('ix_stock_movement_source', table_name='stock_movement')
    op.drop_table('stock_movement')
    op.drop_table('item_source')
    op.drop_table('tolerance')
