-- What the agent's role may do besides reading: fourteen functions, and nothing else.
-- Each fixes the actor, checks the state, and writes its own journal row (the ninth and the eleventh keep notes for the agent alone). Applied by every `countersign migrate`.

CREATE SCHEMA IF NOT EXISTS casework;

CREATE OR REPLACE FUNCTION casework.desk_now() RETURNS timestamptz
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT clock_timestamp() + coalesce((SELECT make_interval(days => (value ->> 'days')::int, secs => coalesce((value ->> 'seconds')::float, 0))
        FROM installation WHERE name = 'clock'), interval '0')
$$;

CREATE OR REPLACE FUNCTION casework.policy_content() RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT v.content FROM policy_activation a JOIN policy_version v ON v.id = a.version
    WHERE a.active_from <= (SELECT casework.desk_now()) ORDER BY a.active_from DESC, a.id DESC LIMIT 1
$$;

CREATE OR REPLACE FUNCTION casework.policy_hash() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT v.hash FROM policy_activation a JOIN policy_version v ON v.id = a.version
    WHERE a.active_from <= (SELECT casework.desk_now()) ORDER BY a.active_from DESC, a.id DESC LIMIT 1
$$;

DROP FUNCTION IF EXISTS casework.due(timestamptz, text, text);

-- The calendar of a firm: its own, else its country's, else the default.
CREATE OR REPLACE FUNCTION casework.calendar_of(p_entity text) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT coalesce(c -> 'sites' ->> p_entity, c -> 'sites' ->> (SELECT country FROM entity WHERE code = p_entity), c ->> 'default')
    FROM (SELECT casework.policy_content() -> 'clocks' AS c OFFSET 0) x  -- OFFSET 0: fetched once, not once a use
$$;

-- So much working time after a moment. Where no calendar reaches, hours are hours.
CREATE OR REPLACE FUNCTION casework.work_on(p_from timestamptz, p_time interval, p_calendar text) RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH s AS (SELECT greatest(starts, p_from) AS a, ends AS b FROM working_span WHERE calendar = p_calendar AND ends > p_from
        ORDER BY starts LIMIT 90), d AS (SELECT a, b, sum(b - a) OVER (ORDER BY a) AS done FROM s)
    SELECT coalesce((SELECT b - (done - p_time) FROM d WHERE done >= p_time AND p_from >= (SELECT min(starts) FROM working_span
        WHERE calendar = p_calendar) ORDER BY a LIMIT 1), p_from + p_time)
$$;

-- Working time between two moments.
CREATE OR REPLACE FUNCTION casework.worked(p_from timestamptz, p_to timestamptz, p_calendar text) RETURNS interval
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT coalesce(sum(least(ends, p_to) - greatest(starts, p_from)), interval '0') FROM working_span
    WHERE calendar = p_calendar AND ends > p_from AND starts < p_to
$$;

CREATE OR REPLACE FUNCTION casework.due(p_from timestamptz, p_queue text, p_priority text, p_entity text) RETURNS timestamptz
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    hours int;
BEGIN
    IF p_queue = 'none' THEN RETURN NULL; END IF;
    SELECT coalesce((p -> 'local' -> 'firms' -> p_entity -> 'sla_hours' ->> p_priority)::int, (p -> 'sla_hours' ->> p_priority)::int)
    INTO hours FROM (SELECT casework.policy_content() AS p OFFSET 0) x;  -- OFFSET 0: fetched once, not once a use
    RETURN casework.work_on(p_from, make_interval(hours => hours), casework.calendar_of(p_entity));
END
$$;

-- A due time that stood still runs on: as much working time is left as there was when it was paused.
CREATE OR REPLACE FUNCTION casework.resumed(p_paused timestamptz, p_due timestamptz, p_now timestamptz, p_entity text) RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT casework.work_on(p_now, casework.worked(p_paused, p_due, c), c) FROM (SELECT casework.calendar_of(p_entity) AS c OFFSET 0) x
$$;

-- The place within a band, smallest first: the hour of opening less the hours its weight is worth. Older ones come forward by themselves.
CREATE OR REPLACE FUNCTION casework.place(p_case case_file) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT floor(60 * (extract(epoch FROM p_case.opened_at) / 3600
        - least(coalesce(p_case.at_stake, 0) / 1000 * (w ->> 'per_1000_at_stake')::numeric, (w ->> 'most_at_stake')::numeric)
        - greatest(coalesce((p_case.details ->> 'margin')::numeric, 0), 0) / 1000 * (w ->> 'per_1000_margin')::numeric
        - coalesce((w -> 'tier' ->> (SELECT tier FROM customer WHERE code = p_case.customer))::numeric, 0)
        - CASE WHEN w -> 'strategic' ? p_case.customer THEN (w ->> 'strategic_weight')::numeric ELSE 0 END
        - CASE WHEN EXISTS (SELECT FROM sales_order o WHERE o.number = p_case.order_number AND o.expedited)
            THEN (w ->> 'expedited_weight')::numeric ELSE 0 END
        - coalesce(p_case.late_chance, 0)::numeric * coalesce((w ->> 'late_weight')::numeric, 0)))::bigint
    FROM (SELECT casework.policy_content() -> 'weights' AS w OFFSET 0) x
$$;

-- The header rules by which the core itself knows machine mail. A model's opinion never counts here.
CREATE OR REPLACE FUNCTION casework.machine_mail(p_raw bytea) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    head text;
BEGIN
    -- in here, so that bytes which are no text (a NUL, say) reach the handler below
    head := replace(convert_from(substring(p_raw FROM 1 FOR 65536), 'LATIN1'), E'\r', '');
    head := split_part(head, E'\n\n', 1);
    RETURN head ~* '(^|\n)auto-submitted:\s*auto-replied'
        OR head ~* '(^|\n)content-type:\s*multipart/report'
        OR head ~* '(^|\n)precedence:\s*(bulk|junk|auto_reply|list)'
        OR head ~* '(^|\n)(list-unsubscribe|list-id|x-autoreply|x-autorespond):';
EXCEPTION WHEN OTHERS THEN
    RETURN false;  -- unreadable is never machine mail: a person looks
END
$$;

CREATE OR REPLACE FUNCTION casework.journal(p_tag text, p_case bigint, p_subject text, p_after jsonb) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO journal_entry (at, actor, tag, key, input_hash, subject, case_id, after, facts)
    VALUES (casework.desk_now(), 'agent', p_tag, 'casework:' || gen_random_uuid(),
            encode(sha256(convert_to(coalesce(p_after, '{}')::text, 'UTF8')), 'hex'), p_subject, p_case, p_after, '{}')
$$;
REVOKE ALL ON FUNCTION casework.journal FROM PUBLIC;

-- Whose hands were on a document, and what was done under a key, are asked over all firms: what one may not see, still counts.
CREATE OR REPLACE FUNCTION casework.hands(p_subjects text[], p_tags text[], p_since timestamptz) RETURNS TABLE (actor text, facts jsonb)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    own text := coalesce(current_setting('countersign.entities', true), '');
BEGIN
    PERFORM set_config('countersign.entities', '*', true);
    RETURN QUERY SELECT e.actor, e.facts FROM journal_entry e
        WHERE e.subject = ANY (p_subjects) AND e.tag = ANY (p_tags) AND (p_since IS NULL OR e.at >= p_since);
    PERFORM set_config('countersign.entities', own, true);
END
$$;
CREATE OR REPLACE FUNCTION casework.entry(p_key text) RETURNS SETOF journal_entry
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    own text := coalesce(current_setting('countersign.entities', true), '');
BEGIN
    PERFORM set_config('countersign.entities', '*', true);
    RETURN QUERY SELECT * FROM journal_entry WHERE key = p_key;
    PERFORM set_config('countersign.entities', own, true);
END
$$;

-- 1. Record a message and open its case. The same Message-ID is taken once.
CREATE OR REPLACE FUNCTION casework.record_message(p_message_id text, p_source text, p_sender text, p_sender_name text, p_subject text,
    p_sent_at timestamptz, p_raw bytea, p_parsed jsonb, OUT message_number bigint, OUT case_number bigint, OUT created boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    machine boolean := casework.machine_mail(p_raw);
    received timestamptz := casework.desk_now();
    first_queue text := CASE WHEN machine THEN 'none' ELSE 'customer_service' END;
    first_priority text := CASE WHEN machine THEN 'low' ELSE 'normal' END;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('message:' || p_message_id, 0));
    SELECT m.id, m.case_id, false INTO message_number, case_number, created FROM message m WHERE m.message_id = p_message_id;
    IF FOUND THEN RETURN; END IF;
    INSERT INTO case_file (kind, subject, title, queue, priority, status, opened_at)
    VALUES ('mail', p_message_id, left(coalesce(nullif(p_subject, ''), '(no subject)'), 200), first_queue, first_priority, 'new', received)
    RETURNING id INTO case_number;
    INSERT INTO message (direction, message_id, digest, case_id, source, sender, sender_name, subject, sent_at, received_at, machine, raw, parsed)
    VALUES ('in', p_message_id, encode(sha256(p_raw), 'hex'), case_number, p_source, p_sender, p_sender_name, p_subject, p_sent_at,
            received, machine, p_raw, p_parsed)
    RETURNING id INTO message_number;
    PERFORM casework.journal('message:case:received', case_number, 'message:' || message_number,
        jsonb_build_object('message_id', p_message_id, 'sender', p_sender, 'machine', machine, 'digest', encode(sha256(p_raw), 'hex')));
    created := true;
END
$$;

-- Whether people stopped the agent: altogether, or for a firm.
CREATE OR REPLACE FUNCTION casework.stopped(p_entity text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM agent_stop WHERE entity = '*' OR entity = p_entity)
$$;

-- The firm a case is about: of the first that it names. One look at a time, for most cases need one and mail that nobody linked none.
CREATE OR REPLACE FUNCTION casework.firm_named(p_case case_file) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = public, pg_temp AS $$
DECLARE
    event constant jsonb := p_case.details -> 'event';
    sold constant text := coalesce(p_case.order_number, event ->> 'order');
    place constant text := coalesce(p_case.details ->> 'warehouse', event ->> 'warehouse');
    bought constant text := coalesce(p_case.details ->> 'purchase_order', event ->> 'purchase_order');
    found text;
BEGIN
    IF p_case.customer IS NOT NULL THEN
        SELECT entity INTO found FROM customer WHERE code = p_case.customer;
    END IF;
    IF found IS NULL AND sold IS NOT NULL THEN
        SELECT c.entity INTO found FROM sales_order o JOIN customer c ON c.code = o.customer WHERE o.number = sold;
    END IF;
    IF found IS NULL AND place IS NOT NULL THEN
        SELECT entity INTO found FROM warehouse WHERE code = place;
    END IF;
    IF found IS NULL AND bought IS NOT NULL THEN
        SELECT w.entity INTO found FROM purchase_order p JOIN warehouse w ON w.code = p.warehouse WHERE p.number = bought;
    END IF;
    IF found IS NULL AND p_case.kind <> 'mail' THEN
        SELECT w.entity INTO found FROM purchase_order p JOIN warehouse w ON w.code = p.warehouse WHERE p.number = p_case.subject;
    END IF;
    RETURN found;
END
$$;

-- A case's firm, its due time, and its place in the queue. Mail that nobody linked is no firm's yet.
CREATE OR REPLACE FUNCTION casework.case_firm() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    NEW.entity := coalesce(NEW.entity, casework.firm_named(NEW));
    IF TG_OP = 'INSERT' AND NEW.due_at IS NULL THEN
        NEW.due_at := casework.due(NEW.opened_at, NEW.queue, NEW.priority, NEW.entity);
    END IF;
    -- what is known of it when it comes to its queue is kept: mail comes when it was read, all else when it is opened, and what is handed on anew
    IF TG_OP = 'INSERT' AND NEW.kind <> 'mail' THEN
        NEW.came_at := NEW.opened_at;
    END IF;
    IF NEW.came_at IS NOT NULL AND (TG_OP = 'INSERT' OR NEW.came_at IS DISTINCT FROM OLD.came_at) THEN
        NEW.came_as := jsonb_build_object('queue', NEW.queue, 'priority', NEW.priority, 'at_stake', NEW.at_stake, 'customer', NEW.customer,
            'tier', (SELECT tier FROM customer WHERE code = NEW.customer), 'due', extract(epoch FROM NEW.due_at));
    END IF;
    NEW.place := casework.place(NEW);
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER case_firm BEFORE INSERT OR UPDATE OF customer, order_number, at_stake, details, came_at, late_chance ON case_file
    FOR EACH ROW EXECUTE FUNCTION casework.case_firm();

-- 2. Claim a case that waits for the agent: the given one, or the most urgent. Nobody else gets it while the lease runs.
CREATE OR REPLACE FUNCTION casework.claim_case(p_worker text, p_seconds int, p_case bigint DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    claimed bigint;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);  -- a lost claim is only claimed again
    IF p_case IS NULL THEN
        SELECT id INTO p_case FROM case_file
        WHERE status IN ('new', 'investigating') AND kind <> 'chat' AND NOT worked AND attempts < 5 AND NOT casework.stopped(entity)
            AND (leased_until IS NULL OR leased_until < clock_timestamp())
        ORDER BY array_position(ARRAY['urgent', 'high', 'normal', 'low'], priority), id
        LIMIT 1 FOR UPDATE SKIP LOCKED;
    END IF;
    UPDATE case_file SET status = 'investigating', leased_by = p_worker, attempts = attempts + 1,
        leased_until = clock_timestamp() + make_interval(secs => least(greatest(p_seconds, 1), 600))
    WHERE id = (SELECT id FROM case_file
        WHERE id = p_case AND status IN ('new', 'investigating') AND kind <> 'chat' AND NOT worked AND attempts < 5
            AND NOT casework.stopped(entity) AND (leased_until IS NULL OR leased_until < clock_timestamp()) FOR UPDATE SKIP LOCKED)
    RETURNING id INTO claimed;
    IF claimed IS NOT NULL THEN
        PERFORM casework.journal('case:agent:claimed', claimed, 'case:' || claimed, jsonb_build_object('worker', p_worker));
    END IF;
    RETURN claimed;
END
$$;

CREATE OR REPLACE FUNCTION casework.held(p_case bigint, p_worker text) RETURNS case_file
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    found case_file;
BEGIN
    SELECT * INTO found FROM case_file WHERE id = p_case FOR UPDATE;
    IF found.id IS NULL OR found.status <> 'investigating' OR found.leased_by IS DISTINCT FROM p_worker
        OR found.leased_until < clock_timestamp() THEN
        RAISE EXCEPTION 'case % is not claimed by %', p_case, p_worker USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    RETURN found;
END
$$;
REVOKE ALL ON FUNCTION casework.held FROM PUBLIC;

-- 3. Record what a run read and saw. The first findings also give a mail its queue and priority (the core's own cases have theirs); the due time never moves back.
CREATE OR REPLACE FUNCTION casework.record_findings(p_case bigint, p_worker text, p_run text, p_content jsonb, p_queue text, p_priority text,
    p_customer text, p_supplier text, p_order text, p_at_stake numeric) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    held case_file := casework.held(p_case, p_worker);
    is_machine boolean := EXISTS (SELECT 1 FROM message WHERE case_id = p_case AND machine);
    found bigint;
BEGIN
    IF p_order IS NOT NULL AND p_customer IS DISTINCT FROM (SELECT customer FROM sales_order WHERE number = p_order) THEN
        RAISE EXCEPTION 'order % is no order of customer %', p_order, p_customer USING ERRCODE = 'check_violation';
    END IF;
    IF held.kind = 'mail' AND NOT EXISTS (SELECT 1 FROM finding WHERE case_id = p_case) THEN
        UPDATE case_file SET
            queue = CASE WHEN p_queue <> 'none' THEN p_queue WHEN is_machine THEN 'none' ELSE queue END,
            came_at = casework.desk_now(), priority = p_priority, customer = p_customer, supplier = p_supplier, order_number = p_order, at_stake = greatest(p_at_stake, 0),
            due_at = CASE WHEN p_queue = 'none' AND is_machine THEN NULL
                ELSE least(due_at, casework.due(opened_at, CASE WHEN p_queue = 'none' THEN queue ELSE p_queue END, p_priority,
                    (SELECT entity FROM customer WHERE code = p_customer))) END
        WHERE id = p_case;
    END IF;
    INSERT INTO finding (case_id, run, content, recorded_at) VALUES (p_case, p_run, p_content, casework.desk_now()) RETURNING id INTO found;
    PERFORM casework.journal('case:facts:recorded', p_case, 'case:' || p_case,
        jsonb_build_object('run', p_run, 'queue', p_queue, 'priority', p_priority, 'customer', p_customer, 'order', p_order,
            'finding', found, 'digest', encode(sha256(convert_to(p_content::text, 'UTF8')), 'hex')));
END
$$;

-- How often people were asked about an order lately: proposals of the agent that touch it, whatever their case says. They are kept apart, for
-- where rows are kept apart by firm no index finds them by what their commands hold.
CREATE OR REPLACE FUNCTION casework.asked(p_order text) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT count(*) FROM asked a WHERE a.order_number = p_order AND a.filed_at > (SELECT casework.desk_now() - make_interval(days => (casework.policy_content() -> 'proposals' ->> 'per_order_days')::int))
$$;

-- 4. File one proposal. It names only its own case, knows the orders as they are now, and replaces an earlier one.
CREATE OR REPLACE FUNCTION casework.file_proposal(p_case bigint, p_worker text, p_run text, p_action text, p_commands jsonb, p_rationale text,
    p_evidence jsonb, p_versions jsonb, p_policy jsonb, p_confidence text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    held case_file := casework.held(p_case, p_worker);
    filed bigint;
    hours int := (casework.policy_content() -> 'proposals' ->> 'expire_after_hours')::int;
BEGIN
    IF casework.stopped(held.entity) OR EXISTS (SELECT 1 FROM jsonb_array_elements(p_commands) c JOIN sales_order o ON o.number = c ->> 'order'
        JOIN customer k ON k.code = o.customer WHERE casework.stopped(k.entity)) THEN
        RAISE EXCEPTION 'the agent is stopped' USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF jsonb_typeof(p_commands) <> 'array' OR jsonb_array_length(p_commands) NOT BETWEEN 1 AND 3 THEN
        RAISE EXCEPTION 'a proposal has one to three commands' USING ERRCODE = 'check_violation';
    END IF;
    IF jsonb_typeof(p_versions) <> 'object' OR EXISTS (SELECT 1 FROM jsonb_object_keys(p_versions) k WHERE k !~ '^(sales_order|purchase_order|bill):') THEN
        RAISE EXCEPTION 'versions name orders and bills' USING ERRCODE = 'check_violation';
    END IF;
    IF EXISTS (SELECT 1 FROM jsonb_array_elements(p_commands) c WHERE c ? 'case' AND c ->> 'case' IS NOT NULL AND (c ->> 'case')::bigint <> p_case) THEN
        RAISE EXCEPTION 'a proposal touches no other case' USING ERRCODE = 'check_violation';
    END IF;
    IF EXISTS (SELECT 1 FROM jsonb_array_elements(p_commands) c JOIN sales_order o ON o.number = c ->> 'order'
               WHERE (p_versions ->> ('sales_order:' || o.number))::int IS DISTINCT FROM o.version) THEN
        RAISE EXCEPTION 'the order changed while the agent read it' USING ERRCODE = 'serialization_failure';
    END IF;
    IF EXISTS (SELECT 1 FROM jsonb_array_elements(p_commands) c JOIN purchase_order o ON o.number = c ->> 'purchase_order'
               WHERE (p_versions ->> ('purchase_order:' || o.number))::int IS DISTINCT FROM o.version) THEN
        RAISE EXCEPTION 'the purchase order changed while the agent read it' USING ERRCODE = 'serialization_failure';
    END IF;
    IF EXISTS (SELECT 1 FROM jsonb_array_elements(p_commands) c WHERE c ->> 'type' IN ('propose_policy', 'backtest_policy', 'activate_policy',
        'roll_back_policy', 'withdraw_policy', 'save_user', 'delegate_authority', 'end_delegation', 'stop_agent', 'resume_agent', 'set_bank_account', 'record_prompt',
        'nominate_model', 'report_model', 'promote_model', 'roll_back_model', 'keep_sample', 'review_sample')) THEN
        RAISE EXCEPTION 'the agent proposes nothing of policy, models, people or bank accounts' USING ERRCODE = 'check_violation';
    END IF;
    IF EXISTS (SELECT 1 FROM jsonb_array_elements(p_commands) c
        WHERE c ? 'order' AND casework.asked(c ->> 'order') >= (casework.policy_content() -> 'proposals' ->> 'per_order')::int) THEN
        RAISE EXCEPTION 'enough was proposed for this order; a person looks at it as a whole' USING ERRCODE = 'check_violation';
    END IF;
    UPDATE proposal SET status = 'superseded' WHERE case_id = p_case AND status = 'pending';
    INSERT INTO proposal (case_id, action, commands, rationale, evidence, versions, policy, confidence, digest, status, asked_by,
        filed_by, filed_at, expires_at)
    VALUES (p_case, p_action, p_commands, p_rationale, p_evidence, p_versions, p_policy, p_confidence,
        encode(sha256(convert_to(p_commands::text || p_rationale || p_evidence::text || p_versions::text, 'UTF8')), 'hex'),
        'pending', held.instruction ->> 'by', 'agent', casework.desk_now(), casework.desk_now() + make_interval(hours => hours))
    RETURNING id INTO filed;
    INSERT INTO asked (proposal_id, order_number, filed_at)
    SELECT DISTINCT p.id, c ->> 'order', p.filed_at FROM proposal p, jsonb_array_elements(p_commands) c WHERE p.id = filed AND c ->> 'order' IS NOT NULL;
    UPDATE case_file SET status = 'awaiting_review', worked = true, leased_by = NULL, leased_until = NULL WHERE id = p_case;
    PERFORM casework.journal('case:proposal:filed', p_case, 'proposal:' || filed,
        jsonb_build_object('run', p_run, 'action', p_action, 'commands', p_commands, 'rationale', p_rationale, 'evidence', p_evidence));
    RETURN filed;
END
$$;

-- 5. Give a case back after a failure, saying why; after the fifth the agent leaves it to people.
CREATE OR REPLACE FUNCTION casework.give_back(p_case bigint, p_worker text, p_reason text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    held case_file := casework.held(p_case, p_worker);
BEGIN
    UPDATE case_file SET leased_by = NULL, leased_until = NULL WHERE id = p_case;
    INSERT INTO note (case_id, author, text, written_at) VALUES (p_case, 'agent', left(p_reason, 2000), casework.desk_now());
    PERFORM casework.journal('case:agent:failed', p_case, 'case:' || p_case, jsonb_build_object('reason', left(p_reason, 500)));
END
$$;

-- 6. Add a note to an open case.
CREATE OR REPLACE FUNCTION casework.add_note(p_case bigint, p_text text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    written bigint;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM case_file WHERE id = p_case AND status NOT IN ('resolved', 'dismissed')) THEN
        RAISE EXCEPTION 'case % is not open', p_case USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    INSERT INTO note (case_id, author, text, written_at) VALUES (p_case, 'agent', left(p_text, 2000), casework.desk_now())
    RETURNING id INTO written;
    PERFORM casework.journal('case:note:added', p_case, 'note:' || written, jsonb_build_object('text', left(p_text, 2000)));
    RETURN written;
END
$$;

-- 7. Record a trained model: what its file must hash to, what it learned from, what was measured. The same file is recorded once.
CREATE OR REPLACE FUNCTION casework.record_model(p_name text, p_sha256 text, p_source text, p_data_digest text, p_code text, p_figures jsonb,
    p_trainer text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    found bigint;
BEGIN
    IF p_name <> ALL (ARRAY['hold_risk', 'late_shipment', 'late_supply', 'stockout', 'price_anomaly', 'duplicate_order', 'demand', 'queue_load',
            'return_reason', 'case_late', 'root_cause', 'mail_reader']) OR p_sha256 !~ '^[0-9a-f]{64}$' OR p_source NOT IN ('simulated', 'own', 'shipped')
            OR (p_source = 'shipped') <> (p_name = 'mail_reader') OR jsonb_typeof(p_figures) <> 'object'
            OR EXISTS (SELECT FROM jsonb_each(p_figures) f WHERE jsonb_typeof(f.value) <> 'object') THEN
        RAISE EXCEPTION 'no such model: %', p_name USING ERRCODE = 'check_violation';
    END IF;
    IF p_trainer IS NOT NULL AND NOT EXISTS (SELECT FROM app_user WHERE email = p_trainer AND active) THEN
        RAISE EXCEPTION 'nobody here is called %', p_trainer USING ERRCODE = 'check_violation';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('model:' || p_name, 0));
    SELECT id INTO found FROM model_version WHERE name = p_name AND sha256 = p_sha256;
    IF FOUND THEN RETURN found; END IF;
    INSERT INTO model_version (name, kind, sha256, source, data_digest, code, figures, trained_by, trained_at)
    VALUES (p_name, 'model', p_sha256, p_source, p_data_digest, p_code, p_figures, coalesce(p_trainer, 'agent'), casework.desk_now())
    RETURNING id INTO found;
    PERFORM casework.journal('model:version:trained', NULL, 'model:' || found, jsonb_build_object('name', p_name, 'sha256', p_sha256,
        'source', p_source, 'data', p_data_digest, 'trainer', coalesce(p_trainer, 'agent')));
    RETURN found;
END
$$;

-- 8. Record what a version in use said. A score holds and releases nothing; the clock of the core may open a case on it.
CREATE OR REPLACE FUNCTION casework.record_predictions(p_version bigint, p_use text, p_rows jsonb) RETURNS int
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    number int;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);  -- a lost score is only asked again
    IF p_version IS DISTINCT FROM (SELECT u.version FROM model_use u JOIN model_version v ON v.id = p_version AND v.name = u.name
        WHERE u.use = p_use AND u.since <= casework.desk_now() ORDER BY u.since DESC, u.id DESC LIMIT 1) THEN
        RAISE EXCEPTION 'version % is not in use as %', p_version, p_use USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    -- what the core reads later is what it says: finite amounts, probabilities up to 1, reasons in words, features as numbers
    IF EXISTS (SELECT FROM jsonb_to_recordset(p_rows) AS r (subject text, question text, value jsonb, low jsonb, high jsonb, reasons jsonb, features jsonb)
        WHERE r.subject IS NULL OR r.question IS NULL OR (r.subject LIKE 'case:%' AND r.subject !~ '^case:[0-9]{1,9}$') OR length(r.subject) > 200 OR length(r.question) > 60
        OR jsonb_typeof(r.value) IS DISTINCT FROM 'number' OR r.value::numeric < 0 OR r.value::numeric > 1e12
        OR (r.value::numeric > 1 AND r.question NOT IN ('demand_28', 'cases_24', 'days_late'))
        OR coalesce(jsonb_typeof(r.low), 'null') NOT IN ('number', 'null') OR coalesce(jsonb_typeof(r.high), 'null') NOT IN ('number', 'null')
        OR coalesce(jsonb_typeof(r.reasons), 'null') NOT IN ('array', 'null') OR coalesce(jsonb_typeof(r.features), 'null') NOT IN ('array', 'null'))
      OR EXISTS (SELECT FROM jsonb_to_recordset(p_rows) AS r (reasons jsonb),
        jsonb_array_elements(CASE WHEN jsonb_typeof(r.reasons) = 'array' THEN r.reasons ELSE '[]' END) x
        WHERE jsonb_typeof(x -> 'text') IS DISTINCT FROM 'string' OR length(x ->> 'text') > 300
        OR coalesce(jsonb_typeof(x -> 'share'), 'null') NOT IN ('number', 'null'))
      OR EXISTS (SELECT FROM jsonb_to_recordset(p_rows) AS r (features jsonb),
        jsonb_array_elements(CASE WHEN jsonb_typeof(r.features) = 'array' THEN r.features ELSE '[]' END) x
        WHERE jsonb_typeof(x) NOT IN ('number', 'null')) THEN
        RAISE EXCEPTION 'these are no predictions' USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO prediction (version, use, subject, question, value, low, high, reasons, features, asked_at)
    SELECT p_version, p_use, r.subject, r.question, r.value, r.low, r.high, coalesce(r.reasons, '[]'), r.features, casework.desk_now()
    FROM jsonb_to_recordset(p_rows) AS r (subject text, question text, value float, low float, high float, reasons jsonb, features jsonb);
    GET DIAGNOSTICS number = ROW_COUNT;
    PERFORM casework.journal('model:predictions:recorded', NULL, 'model:' || p_version, jsonb_build_object('use', p_use, 'count', number,
        'digest', encode(sha256(convert_to(p_rows::text, 'UTF8')), 'hex')));
    RETURN number;
END
$$;

-- 9. Keep what new orders hold, as vectors, for three days: whoever orders the same under another account is found by them.
CREATE OR REPLACE FUNCTION casework.keep_goods(p_rows jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);  -- a lost vector is only reckoned again
    DELETE FROM order_goods WHERE placed_at < casework.desk_now() - interval '3 days';
    INSERT INTO order_goods (order_number, customer, placed_at, goods)
    SELECT o.number, o.customer, o.ordered_at, r.goods::text::vector FROM jsonb_to_recordset(p_rows) AS r ("order" text, goods jsonb)
        JOIN sales_order o ON o.number = r."order" WHERE o.ordered_at >= casework.desk_now() - interval '3 days'
    ON CONFLICT (order_number) DO UPDATE SET goods = excluded.goods WHERE order_goods.goods IS DISTINCT FROM excluded.goods;
END
$$;

-- 10. Record that a language model was asked, what it used and what came of it: budgets count these rows.
CREATE OR REPLACE FUNCTION casework.record_call(p_case bigint, p_run text, p_purpose text, p_model text, p_prompt text, p_tokens_in int,
    p_tokens_out int, p_cost numeric, p_ms int, p_outcome text, p_detail text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    made bigint;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    IF p_tokens_in < 0 OR p_tokens_out < 0 OR p_cost < 0 THEN
        RAISE EXCEPTION 'nobody is paid for being asked' USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO model_call (case_id, run, purpose, model, prompt, tokens_in, tokens_out, cost, ms, outcome, detail, entity, asked_at)
    VALUES (p_case, left(p_run, 100), left(p_purpose, 40), left(p_model, 100), left(p_prompt, 64), p_tokens_in, p_tokens_out, p_cost, p_ms, p_outcome,
        left(p_detail, 500), (SELECT entity FROM case_file WHERE id = p_case), casework.desk_now())
    RETURNING id INTO made;
    PERFORM casework.journal('model:language:asked', p_case, 'case:' || p_case, jsonb_build_object('run', p_run, 'purpose', p_purpose, 'model', p_model,
        'prompt', p_prompt, 'tokens', p_tokens_in + p_tokens_out, 'outcome', p_outcome));
    RETURN made;
END
$$;

-- 11. Keep texts with their vectors, to be looked up by what they mean. Cases that are over, rules and playbooks; a wrong vector hides a hint and nothing else.
CREATE OR REPLACE FUNCTION casework.keep_passages(p_embedder text, p_rows jsonb) RETURNS int
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    number int;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    DELETE FROM passage p USING case_file c WHERE p.kind = 'open' AND c.id = p.case_id AND c.status NOT IN ('new', 'investigating', 'awaiting_review');
    INSERT INTO passage (kind, subject, case_id, text, embedder, vector, made_at)
    SELECT r.kind, left(r.subject, 200), r.case_id, left(r.text, 4000), left(p_embedder, 100), r.vector::text::vector, casework.desk_now()
    FROM jsonb_to_recordset(p_rows) AS r (kind text, subject text, case_id int, text text, vector jsonb)
    ON CONFLICT (kind, subject) DO UPDATE SET text = excluded.text, embedder = excluded.embedder, vector = excluded.vector, made_at = excluded.made_at;
    GET DIAGNOSTICS number = ROW_COUNT;
    RETURN number;
END
$$;

-- 12. Take a chat in which somebody waits for the assistant. A chat that people have is not among them, nor one of a firm the agent is stopped for.
CREATE OR REPLACE FUNCTION casework.claim_chat(p_worker text, p_seconds int) RETURNS int
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    claimed int;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE chat SET leased_by = p_worker, leased_until = clock_timestamp() + make_interval(secs => least(greatest(p_seconds, 1), 600))
    WHERE id = (SELECT c.id FROM chat c JOIN case_file f ON f.id = c.case_id
        WHERE c.waiting AND c.state = 'open' AND NOT casework.stopped(f.entity) AND (c.leased_until IS NULL OR c.leased_until < clock_timestamp())
        ORDER BY c.last_at LIMIT 1 FOR UPDATE OF c SKIP LOCKED)
    RETURNING id INTO claimed;
    RETURN claimed;
END
$$;

-- 13. Answer in a chat that was claimed: one message, what waits for a yes, or the hand-over to a person with its reason. Nothing else of it changes.
CREATE OR REPLACE FUNCTION casework.answer_chat(p_chat int, p_worker text, p_last bigint, p_text text, p_said jsonb, p_language text, p_pending jsonb,
    p_memory jsonb, p_hand_over text, p_summary text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    held chat;
    made bigint;
    number bigint;
BEGIN
    SELECT * INTO held FROM chat WHERE id = p_chat FOR UPDATE;
    IF held.id IS NULL OR held.state <> 'open' OR held.leased_by IS DISTINCT FROM p_worker OR held.leased_until < clock_timestamp() THEN
        RAISE EXCEPTION 'chat % is not claimed by %', p_chat, p_worker USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF p_language NOT IN ('en', 'es', 'fr', 'de') OR length(p_text) NOT BETWEEN 1 AND 4000 THEN
        RAISE EXCEPTION 'this is no answer' USING ERRCODE = 'check_violation';
    END IF;
    SELECT count(*) INTO number FROM message WHERE case_id = held.case_id;
    INSERT INTO message (direction, message_id, digest, case_id, source, sender, sender_name, subject, sent_at, received_at, machine, raw, parsed)
    VALUES ('out', '<chat-' || p_chat || '-' || (number + 1) || '@countersign>', encode(sha256(convert_to(p_text, 'UTF8')), 'hex'), held.case_id, 'chat', NULL,
        'Assistant', NULL, NULL, casework.desk_now(), true, convert_to(p_text, 'UTF8'), p_said || jsonb_build_object('newest', p_text, 'by', 'agent'))
    RETURNING id INTO made;
    -- what came while it thought still waits for an answer
    UPDATE chat SET waiting = p_hand_over IS NULL AND EXISTS (SELECT FROM message WHERE case_id = held.case_id AND direction = 'in' AND id > p_last),
        pending = p_pending, memory = p_memory, language = p_language, leased_by = NULL, leased_until = NULL,
        state = CASE WHEN p_hand_over IS NULL THEN state ELSE 'handed_over' END, reason = coalesce(p_hand_over, reason)
    WHERE id = p_chat;
    IF p_hand_over IS NOT NULL THEN
        UPDATE case_file SET queue = CASE WHEN p_hand_over IN ('misleading', 'not_its_own') THEN 'security' ELSE 'customer_service' END,
            priority = CASE WHEN p_hand_over = 'complaint' THEN 'high' ELSE 'normal' END, worked = true,
            details = details || jsonb_build_object('problems', jsonb_build_array(left(p_summary, 1000)), 'handed_over', p_hand_over),
            came_at = casework.desk_now()
        WHERE id = held.case_id AND status IN ('new', 'investigating');
        UPDATE case_file SET due_at = casework.due(casework.desk_now(), queue, priority, entity) WHERE id = held.case_id;
    END IF;
    PERFORM casework.journal('chat:assistant:answered', held.case_id, 'chat:' || p_chat, jsonb_build_object('message', made, 'digest',
        encode(sha256(convert_to(p_text, 'UTF8')), 'hex'), 'hand_over', p_hand_over, 'pending', p_pending IS NOT NULL));
    PERFORM pg_notify('chat_said', p_chat || ':said');
    RETURN made;
END
$$;

-- 14. Keep a firm's queue in words; it moves, hides and closes nothing.
CREATE OR REPLACE FUNCTION casework.keep_summary(p_queue text, p_entity text, p_model text, p_sentences jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF jsonb_typeof(p_sentences) <> 'array' OR jsonb_array_length(p_sentences) > 12 OR EXISTS (SELECT FROM jsonb_array_elements(p_sentences) s
        WHERE jsonb_typeof(s -> 'text') IS DISTINCT FROM 'string' OR length(s ->> 'text') > 400 OR jsonb_typeof(s -> 'cases') IS DISTINCT FROM 'array'
        OR EXISTS (SELECT FROM jsonb_array_elements(s -> 'cases') n WHERE jsonb_typeof(n) <> 'number'
            OR NOT EXISTS (SELECT FROM case_file c WHERE c.id = n::text::bigint AND c.queue = p_queue AND c.entity = p_entity))) THEN
        RAISE EXCEPTION 'a summary is of sentences about cases of its queue' USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO summary (queue, entity, sentences, model, made_at) VALUES (p_queue, p_entity, p_sentences, left(p_model, 100), casework.desk_now())
    ON CONFLICT (queue, entity) DO UPDATE SET sentences = excluded.sentences, model = excluded.model, made_at = excluded.made_at;
END
$$;

-- Grants: said anew each time, from nothing.
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM countersign_api, countersign_agent, countersign_reader;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM countersign_api, countersign_agent, countersign_reader;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA casework FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO countersign_api, countersign_agent, countersign_reader;
GRANT USAGE ON SCHEMA casework TO countersign_api, countersign_agent;
GRANT EXECUTE ON FUNCTION casework.desk_now, casework.policy_content, casework.policy_hash, casework.due, casework.stopped, casework.case_firm, casework.firm_named, casework.asked, casework.resumed, casework.work_on,
    casework.worked, casework.calendar_of, casework.place TO countersign_api, countersign_agent;

GRANT EXECUTE ON FUNCTION casework.hands, casework.entry TO countersign_api;

GRANT SELECT ON ALL TABLES IN SCHEMA public TO countersign_api;
GRANT INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO countersign_api;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO countersign_api;
GRANT SELECT, UPDATE ON SEQUENCE order_number, invoice_number, credit_memo_number, return_number TO countersign_api;
GRANT DELETE ON sign_in, chat_code, subscription, saved_view, kpi_day, order_line, allocation, agent_stop, working_span, queue_depth TO countersign_api;
REVOKE UPDATE ON case_step, case_view, journal_entry, decision, message, finding, policy_version, note, policy_activation, policy_backtest, row_image, chain_link, seal, model_version, model_report, model_use, model_call FROM countersign_api;
REVOKE INSERT ON row_image FROM countersign_api;
REVOKE INSERT, UPDATE ON asked FROM countersign_api;
REVOKE ALL ON alembic_version FROM countersign_api;
GRANT SELECT ON alembic_version TO countersign_api;

GRANT SELECT ON entity, customer, contact, ship_to, supplier, app_user, item, substitute, price, warehouse, stock_level, allocation,
    sales_order, order_line, hold, purchase_order, purchase_order_line, shipment, shipment_line, invoice, remittance, policy_version, policy_activation, delegation, agent_stop,
    installation, case_file, message, finding, note, proposal, decision, journal_entry, item_unit, tier_price, customer_account,
    customer_item, invoice_line, credit_memo, return_order, return_line, item_source, receipt, receipt_line, supplier_invoice, supplier_invoice_line, disruption, discrepancy, tolerance, transfer, quarantined,
    stock_movement, chain_link, model_version, model_report, model_use, prediction, feedback_sample, order_goods, model_call, passage, summary TO countersign_agent;
GRANT SELECT (id, email, name, customer, staff, state, reason, language, case_id, taken_by, waiting, pending, memory, started_at, last_at, expires_at) ON chat TO countersign_agent;
GRANT EXECUTE ON FUNCTION casework.record_message, casework.claim_case, casework.record_findings, casework.file_proposal,
    casework.give_back, casework.add_note, casework.record_model, casework.record_predictions, casework.keep_goods,
    casework.record_call, casework.keep_passages,
    casework.claim_chat, casework.answer_chat, casework.keep_summary TO countersign_agent;

GRANT SELECT ON entity, customer, supplier, item, substitute, price, warehouse, stock_level, allocation, sales_order, order_line, hold,
    purchase_order, purchase_order_line, shipment, shipment_line, invoice, invoice_line, credit_memo, payment, remittance, return_order,
    return_line, item_unit, tier_price, customer_account, customer_item, case_file, proposal, decision, journal_entry,
    item_source, receipt, receipt_line, supplier_invoice, supplier_invoice_line, disruption, discrepancy, tolerance, transfer, quarantined,
    stock_movement, model_version, model_report, model_use, prediction, model_call TO countersign_reader;
