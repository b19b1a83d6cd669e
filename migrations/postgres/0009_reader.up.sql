-- Views for the role of Grafana, in a schema of their own. The role has no access to the
-- tables. Functions compute dirty rollups with the privileges of their owner. Their search
-- path is fixed, so that temporary objects of the caller cannot replace tables.

CREATE SCHEMA history;
COMMENT ON SCHEMA history IS 'what a reader may read: every machine''s history, and nothing about who may do what';

CREATE FUNCTION history.machine_buckets(m integer, a timestamptz, b timestamptz, width interval) RETURNS SETOF machine_1m_done LANGUAGE sql STABLE SECURITY DEFINER AS $$ SELECT * FROM machine_buckets(m, a, b, width) $$;
CREATE FUNCTION history.machine_merge(m integer, a timestamptz, width interval) RETURNS SETOF machine_1h_done LANGUAGE sql STABLE SECURITY DEFINER AS $$ SELECT * FROM machine_merge(m, a, width) $$;
CREATE FUNCTION history.process_hour(m integer, a timestamptz) RETURNS SETOF process_1h_done LANGUAGE sql STABLE SECURITY DEFINER AS $$ SELECT * FROM process_hour(m, a) $$;
CREATE FUNCTION history.process_merge(m integer, a timestamptz, width interval) RETURNS SETOF process_1h_done LANGUAGE sql STABLE SECURITY DEFINER AS $$ SELECT * FROM process_merge(m, a, width) $$;
DO $$
DECLARE
    f regprocedure;
BEGIN
    FOR f IN SELECT p.oid FROM pg_proc p WHERE p.pronamespace = 'history'::regnamespace LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', f, current_schema());
    END LOOP;
END $$;

CREATE VIEW history.machine_1m AS
    SELECT * FROM machine_1m_done d WHERE NOT EXISTS (SELECT FROM rollup_marks k
        WHERE k.machine = d.machine AND k.bucket = date_bin('1 hour', d.bucket, '2000-01-01 00:00:00+00') AND k.level = 1)
    UNION ALL SELECT h.* FROM rollup_dirty_1h k CROSS JOIN LATERAL history.machine_buckets(k.machine, k.bucket, k.bucket + interval '1 hour', '1 minute') h;
CREATE VIEW history.machine_1h AS
    SELECT * FROM machine_1h_done d WHERE NOT EXISTS (SELECT FROM rollup_dirty_1h k WHERE k.machine = d.machine AND k.bucket = d.bucket)
    UNION ALL SELECT h.* FROM rollup_dirty_1h k CROSS JOIN LATERAL history.machine_buckets(k.machine, k.bucket, k.bucket + interval '1 hour', '1 hour') h;
CREATE VIEW history.machine_3h AS
    SELECT * FROM machine_3h_done d WHERE NOT EXISTS (SELECT FROM rollup_dirty_3h k WHERE k.machine = d.machine AND k.bucket = d.bucket)
    UNION ALL SELECT h.* FROM rollup_dirty_3h k CROSS JOIN LATERAL history.machine_merge(k.machine, k.bucket, '3 hours') h;
CREATE VIEW history.machine_1d AS
    SELECT * FROM machine_1d_done d WHERE NOT EXISTS (SELECT FROM rollup_dirty_1d k WHERE k.machine = d.machine AND k.bucket = d.bucket)
    UNION ALL SELECT h.* FROM rollup_dirty_1d k CROSS JOIN LATERAL history.machine_merge(k.machine, k.bucket, '1 day') h;
CREATE VIEW history.process_1h AS
    SELECT * FROM process_1h_done d WHERE NOT EXISTS (SELECT FROM rollup_dirty_1h k WHERE k.machine = d.machine AND k.bucket = d.bucket)
    UNION ALL SELECT h.* FROM rollup_dirty_1h k CROSS JOIN LATERAL history.process_hour(k.machine, k.bucket) h;
CREATE VIEW history.process_3h AS
    SELECT * FROM process_3h_done d WHERE NOT EXISTS (SELECT FROM rollup_dirty_3h k WHERE k.machine = d.machine AND k.bucket = d.bucket)
    UNION ALL SELECT h.* FROM rollup_dirty_3h k CROSS JOIN LATERAL history.process_merge(k.machine, k.bucket, '3 hours') h;
CREATE VIEW history.process_1d AS
    SELECT * FROM process_1d_done d WHERE NOT EXISTS (SELECT FROM rollup_dirty_1d k WHERE k.machine = d.machine AND k.bucket = d.bucket)
    UNION ALL SELECT h.* FROM rollup_dirty_1d k CROSS JOIN LATERAL history.process_merge(k.machine, k.bucket, '1 day') h;
