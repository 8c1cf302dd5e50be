-- Each statement that changes a row of the house leaves an image of it, whoever ran the statement. Applied by every `countersign migrate`.
-- Left out is what is no state of the house: what was said once and never changes (journal, messages, findings, notes: their digests are in
-- journal entries), sums that can be reckoned anew, what processes keep for themselves, and secrets.

CREATE OR REPLACE FUNCTION casework.keep_rows() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF (SELECT count(*) FROM (SELECT FROM rows_kept LIMIT 1001) x) <= 1000 THEN  -- nearly always: no need to number them
        INSERT INTO row_image (relation, op, images)
        SELECT TG_TABLE_NAME, left(TG_OP, 1), jsonb_agg(to_jsonb(r) - 'name_vector') FROM rows_kept r HAVING count(*) > 0;
    ELSE
        INSERT INTO row_image (relation, op, images)
        SELECT TG_TABLE_NAME, left(TG_OP, 1), jsonb_agg(x.image ORDER BY x.n)
        FROM (SELECT to_jsonb(r) - 'name_vector' AS image, row_number() OVER () AS n FROM rows_kept r) x GROUP BY (x.n - 1) / 1000;
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION casework.keep_rows FROM PUBLIC;

DO $$
DECLARE
    kept record;
    verb text;
BEGIN
    FOR kept IN
        SELECT c.relname, EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = 'keep_insert') AS known
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'public' AND c.relkind = 'r' AND c.relname <> ALL (ARRAY['journal_entry', 'row_image', 'chain_link', 'seal', 'message',
            'finding', 'note', 'asked', 'customer_account', 'customer_item', 'queue_depth', 'case_view', 'working_span', 'leadership', 'installation', 'waiting_event',
            'order_goods', 'credential', 'sign_in', 'prediction', 'model_call', 'passage', 'chat', 'chat_code', 'summary', 'subscription', 'saved_view', 'kpi_day', 'notice_seen', 'alembic_version', 'checkpoints', 'checkpoint_blobs', 'checkpoint_writes', 'checkpoint_migrations'])
    LOOP
        FOREACH verb IN ARRAY ARRAY['insert', 'update', 'delete'] LOOP
            EXECUTE format('CREATE OR REPLACE TRIGGER keep_%1$s AFTER %1$s ON %2$I REFERENCING %3$s TABLE AS rows_kept '
                'FOR EACH STATEMENT EXECUTE FUNCTION casework.keep_rows()', verb, kept.relname, CASE WHEN verb = 'delete' THEN 'OLD' ELSE 'NEW' END);
        END LOOP;
        IF NOT kept.known THEN  -- rows that were there before anybody kept images are the ground to build on
            EXECUTE format('INSERT INTO row_image (relation, op, images) SELECT %1$L, ''B'', jsonb_agg(x.image ORDER BY x.n) '
                'FROM (SELECT to_jsonb(r) - ''name_vector'' AS image, row_number() OVER () AS n FROM %1$I r) x GROUP BY (x.n - 1) / 1000', kept.relname);
        END IF;
    END LOOP;
END
$$;
