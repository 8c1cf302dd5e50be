-- Firms apart: a transaction sees the rows of the firms it was begun for (`countersign.entities`: codes, or `*`), and none when it was begun
-- for nobody. Forced, so that the owner's functions keep to it too. It guards against the forgotten filter; who may set it is the API's matter
-- (SQL under a role's own password is outside). Rows hang on their document, and that on its customer or warehouse, whose policy counts.
-- Tables that are not named here belong to all firms. Applied by every `countersign migrate`.

DO $$
DECLARE
    -- one of the transaction's own firms; and: a transaction that was begun for anybody at all
    mine constant text := 'IN (SELECT unnest(string_to_array(current_setting(''countersign.entities'', true), '','')))';
    anybody constant text := '(SELECT coalesce(current_setting(''countersign.entities'', true), '''') <> '''')';
    of_case constant text := 'EXISTS (SELECT FROM case_file f WHERE f.id = case_id)';
    of_customer constant text := 'EXISTS (SELECT FROM customer c WHERE c.code = customer)';
    of_order constant text := 'EXISTS (SELECT FROM sales_order o WHERE o.number = order_number)';
    of_warehouse constant text := 'EXISTS (SELECT FROM warehouse w WHERE w.code = warehouse)';
    of_purchase constant text := 'EXISTS (SELECT FROM purchase_order p WHERE p.number = purchase_order)';
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
        ('order_line', of_order), ('hold', of_order), ('allocation', of_order), ('shipment', of_order),
        ('shipment_line', 'EXISTS (SELECT FROM shipment s WHERE s.number = shipment)'),
        ('invoice_line', 'EXISTS (SELECT FROM invoice i WHERE i.number = invoice)'),
        ('credit_memo', 'EXISTS (SELECT FROM invoice i WHERE i.number = invoice)'),
        ('return_line', 'EXISTS (SELECT FROM return_order r WHERE r.number = return_number)'),
        ('stock_level', of_warehouse), ('quarantined', of_warehouse), ('receipt', of_warehouse), ('purchase_order', of_warehouse),
        ('purchase_order_line', 'EXISTS (SELECT FROM purchase_order p WHERE p.number = order_number)'),
        ('receipt_line', 'EXISTS (SELECT FROM receipt r WHERE r.number = receipt)'),
        ('supplier_invoice', '(purchase_order IS NULL AND ' || anybody || ') OR ' || of_purchase),
        ('supplier_invoice_line', 'EXISTS (SELECT FROM supplier_invoice i WHERE i.id = invoice_id)'),
        ('discrepancy', '(purchase_order IS NULL AND receipt IS NULL AND ' || anybody || ') OR ' || of_purchase
            || ' OR EXISTS (SELECT FROM receipt r WHERE r.number = receipt)'),
        ('disruption', '(purchase_order IS NULL AND ' || anybody || ') OR ' || of_purchase),
        ('transfer', 'EXISTS (SELECT FROM warehouse w WHERE w.code IN (source, target))'),
        ('stock_movement', 'EXISTS (SELECT FROM warehouse w WHERE (''warehouse:'' || w.code) IN (source, target) OR (''quarantine:'' || w.code) IN (source, target))'),
        ('case_file', '(entity IS NULL AND ' || anybody || ') OR entity ' || mine),
        ('message', of_case), ('finding', of_case), ('note', of_case), ('proposal', of_case), ('decision', of_case), ('case_step', of_case),
        ('case_view', of_case),
        ('outbox', '(case_id IS NULL AND ' || anybody || ') OR ' || of_case),
        ('queue_depth', '(entity = '''' AND ' || anybody || ') OR entity ' || mine),
        ('journal_entry', '(transaction = (pg_current_xact_id()::text)::bigint AND ' || anybody || ') OR ' || of_case || ' OR CASE split_part(subject, '':'', 1)
            WHEN ''sales_order'' THEN EXISTS (SELECT FROM sales_order o WHERE o.number = substr(subject, 13))
            WHEN ''customer'' THEN EXISTS (SELECT FROM customer c WHERE c.code = substr(subject, 10))
            WHEN ''purchase_order'' THEN EXISTS (SELECT FROM purchase_order p WHERE p.number = substr(subject, 16))
            WHEN ''receipt'' THEN EXISTS (SELECT FROM receipt r WHERE r.number = substr(subject, 9))
            WHEN ''invoice'' THEN EXISTS (SELECT FROM invoice i WHERE i.number = substr(subject, 9))
            WHEN ''shipment'' THEN EXISTS (SELECT FROM shipment s WHERE s.number = substr(subject, 10))
            WHEN ''return'' THEN EXISTS (SELECT FROM return_order r WHERE r.number = substr(subject, 8))
            WHEN ''stock'' THEN EXISTS (SELECT FROM warehouse w WHERE w.code = split_part(subject, '':'', 2))
            WHEN ''policy'' THEN ' || anybody || ' ELSE false END'),
        ('row_image', 'false')) AS x (relation, rule)
    LOOP
        EXECUTE format('DROP POLICY IF EXISTS firms ON %I', kept.relation);
        EXECUTE format('CREATE POLICY firms ON %I USING ((SELECT current_setting(''countersign.entities'', true) = ''*'') OR (%s))%s', kept.relation, kept.rule,
            CASE WHEN kept.relation = 'row_image' THEN ' WITH CHECK (true)' ELSE '' END);
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', kept.relation);
    END LOOP;
END
$$;
