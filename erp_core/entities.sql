-- Firms apart: a transaction sees the rows of the firms it was begun for (`countersign.entities`: codes, or `*`), and none when it was begun
-- for nobody. Forced, so that the owner's functions keep to it too. It guards against the forgotten filter; who may set it is the API's matter
-- (SQL under a role's own password is outside). Rows hang on their document, and that on its customer or warehouse, whose policy counts.
-- Tables that are not named here belong to all firms. Applied by every `countersign migrate`.

-- One question for each kind of document, as a function, so that a statement on many tables does not carry a plan for each of them.
-- They run as whoever asks: the policy of the table they look into counts again.
CREATE SCHEMA IF NOT EXISTS seen;
GRANT USAGE ON SCHEMA seen TO countersign_api, countersign_agent, countersign_reader;

DO $$
DECLARE
    asked record;
BEGIN
    FOR asked IN SELECT * FROM (VALUES ('customer', 'customer', 'code', 'text'), ('sales_order', 'sales_order', 'number', 'text'),
        ('warehouse', 'warehouse', 'code', 'text'), ('purchase_order', 'purchase_order', 'number', 'text'), ('receipt', 'receipt', 'number', 'text'),
        ('invoice', 'invoice', 'number', 'text'), ('shipment', 'shipment', 'number', 'text'), ('return_order', 'return_order', 'number', 'text'),
        ('case_file', 'case_file', 'id', 'integer'), ('supplier_invoice', 'supplier_invoice', 'id', 'integer')) AS x (name, relation, key, kind)
    LOOP
        EXECUTE format('CREATE OR REPLACE FUNCTION seen.%I(p_key %s) RETURNS boolean LANGUAGE plpgsql STABLE PARALLEL SAFE COST 50 '
            'SET search_path = public, pg_temp AS $f$ BEGIN RETURN EXISTS (SELECT FROM %I r WHERE r.%I = p_key); END $f$',
            asked.name, asked.kind, asked.relation, asked.key);
    END LOOP;
END
$$;

DO $$
DECLARE
    -- one of the transaction's own firms; and: a transaction that was begun for anybody at all
    mine constant text := '= ANY (string_to_array(current_setting(''countersign.entities'', true), '',''))';
    anybody constant text := 'coalesce(current_setting(''countersign.entities'', true), '''') <> ''''';
    of_case constant text := 'seen.case_file(case_id)';
    of_customer constant text := 'seen.customer(customer)';
    of_order constant text := 'seen.sales_order(order_number)';
    of_warehouse constant text := 'seen.warehouse(warehouse)';
    of_purchase constant text := 'seen.purchase_order(purchase_order)';
    kept record;
BEGIN
    FOR kept IN SELECT * FROM (VALUES
        ('entity', 'code ' || mine),
        ('customer', 'entity ' || mine),
        ('warehouse', 'entity ' || mine),
        ('contact', of_customer), ('ship_to', of_customer), ('price', of_customer), ('payment', of_customer), ('bank_account', of_customer),
        ('customer_account', of_customer), ('customer_item', of_customer),
        ('remittance', '(customer IS NULL AND ' || anybody || ') OR ' || of_customer),
        ('sales_order', of_customer), ('invoice', of_customer), ('return_order', of_customer),
        ('order_line', of_order), ('asked', of_order), ('hold', of_order), ('allocation', of_order), ('shipment', of_order),
        ('shipment_line', 'seen.shipment(shipment)'),
        ('invoice_line', 'seen.invoice(invoice)'),
        ('credit_memo', 'seen.invoice(invoice)'),
        ('return_line', 'seen.return_order(return_number)'),
        ('stock_level', of_warehouse), ('quarantined', of_warehouse), ('receipt', of_warehouse), ('purchase_order', of_warehouse),
        ('purchase_order_line', 'seen.purchase_order(order_number)'),
        ('receipt_line', 'seen.receipt(receipt)'),
        ('supplier_invoice', '(purchase_order IS NULL AND ' || anybody || ') OR ' || of_purchase),
        ('supplier_invoice_line', 'seen.supplier_invoice(invoice_id)'),
        ('discrepancy', '(purchase_order IS NULL AND receipt IS NULL AND ' || anybody || ') OR ' || of_purchase
            || ' OR seen.receipt(receipt)'),
        ('disruption', '(purchase_order IS NULL AND ' || anybody || ') OR ' || of_purchase),
        ('transfer', 'seen.warehouse(source) OR seen.warehouse(target)'),
        ('stock_movement', 'seen.warehouse(split_part(source, '':'', 2)) OR seen.warehouse(split_part(target, '':'', 2))'),
        ('case_file', '(entity IS NULL AND ' || anybody || ') OR entity ' || mine),
        ('message', of_case), ('finding', of_case), ('note', of_case), ('proposal', of_case), ('decision', of_case), ('case_step', of_case),
        ('case_view', of_case), ('feedback_sample', of_case), ('drill', of_case),
        ('prediction', 'CASE split_part(subject, '':'', 1) WHEN ''sales_order'' THEN seen.sales_order(substr(subject, 13))
            WHEN ''purchase_order'' THEN seen.purchase_order(split_part(subject, '':'', 2)) WHEN ''stock'' THEN seen.warehouse(split_part(subject, '':'', 2))
            WHEN ''case'' THEN subject ~ ''^case:[0-9]{1,9}$'' AND seen.case_file(CASE WHEN subject ~ ''^case:[0-9]{1,9}$'' THEN substr(subject, 6)::int END)
            WHEN ''queue'' THEN ' || anybody || ' ELSE false END'),
        ('order_goods', of_order),
        ('chat', '(case_id IS NULL AND ' || anybody || ') OR ' || of_case), ('chat_code', anybody),
        ('summary', 'entity ' || mine),
        ('passage', '(case_id IS NULL AND ' || anybody || ') OR ' || of_case),
        ('model_call', '(case_id IS NULL AND ' || anybody || ') OR ' || of_case),
        ('outbox', '(case_id IS NULL AND ' || anybody || ') OR ' || of_case),
        ('kpi_day', '(entity = '''' AND ' || anybody || ') OR entity ' || mine),
        ('queue_depth', '(entity = '''' AND ' || anybody || ') OR entity ' || mine),
        ('journal_entry', '(transaction = (pg_current_xact_id()::text)::bigint AND ' || anybody || ') OR ' || of_case || ' OR CASE split_part(subject, '':'', 1)
            WHEN ''sales_order'' THEN seen.sales_order(substr(subject, 13))
            WHEN ''customer'' THEN seen.customer(substr(subject, 10))
            WHEN ''purchase_order'' THEN seen.purchase_order(substr(subject, 16))
            WHEN ''receipt'' THEN seen.receipt(substr(subject, 9))
            WHEN ''invoice'' THEN seen.invoice(substr(subject, 9))
            WHEN ''shipment'' THEN seen.shipment(substr(subject, 10))
            WHEN ''return'' THEN seen.return_order(substr(subject, 8))
            WHEN ''stock'' THEN seen.warehouse(split_part(subject, '':'', 2))
            WHEN ''policy'' THEN ' || anybody || ' WHEN ''model'' THEN ' || anybody || ' ELSE false END'),
        ('row_image', 'false')) AS x (relation, rule)
    LOOP
        EXECUTE format('DROP POLICY IF EXISTS firms ON %I', kept.relation);
        EXECUTE format('CREATE POLICY firms ON %I USING (current_setting(''countersign.entities'', true) = ''*'' OR (%s))%s', kept.relation, kept.rule,
            CASE WHEN kept.relation = 'row_image' THEN ' WITH CHECK (true)' ELSE '' END);
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', kept.relation);
    END LOOP;
END
$$;
