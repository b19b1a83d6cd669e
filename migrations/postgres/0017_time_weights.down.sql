DROP VIEW history.machine_1m, history.machine_1h, history.machine_3h, history.machine_1d, history.process_1h,
    history.process_3h, history.process_1d;
DROP FUNCTION history.machine_buckets, history.machine_merge, history.process_hour, history.process_merge;
DROP VIEW machine_1m, machine_1h, machine_3h, machine_1d, process_1h, process_3h, process_1d;
DROP FUNCTION machine_merge, process_merge, machine_hours, process_hours, machine_buckets, process_hour;

ALTER TABLE rollup_marks DROP COLUMN failed_at;

DO $$
DECLARE
    relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['machine_1m_done', 'machine_1h_done', 'machine_3h_done', 'machine_1d_done'] LOOP
        EXECUTE format('ALTER TABLE %I RENAME COLUMN process_count_sum TO cpu_samples', relation);
        EXECUTE format('ALTER TABLE %I ALTER COLUMN cpu_samples TYPE bigint USING samples,
            DROP COLUMN cpu_usage_ms, DROP COLUMN load1_ms, DROP COLUMN load5_ms, DROP COLUMN load15_ms,
            DROP COLUMN used_ram_ms, DROP COLUMN used_swap_ms, DROP COLUMN used_disk_ms, DROP COLUMN read_ms,
            DROP COLUMN write_ms, DROP COLUMN received_ms, DROP COLUMN sent_ms, DROP COLUMN buffers_ram_avg,
            DROP COLUMN cached_ram_avg, DROP COLUMN shared_ram_avg, DROP COLUMN slab_ram_avg,
            DROP COLUMN buffers_ram_ms, DROP COLUMN cached_ram_ms, DROP COLUMN shared_ram_ms,
            DROP COLUMN slab_ram_ms', relation);
    END LOOP;
    FOREACH relation IN ARRAY ARRAY['process_1h_done', 'process_3h_done', 'process_1d_done'] LOOP
        EXECUTE format('ALTER TABLE %I RENAME COLUMN memory_ms TO memory_samples', relation);
        EXECUTE format('ALTER TABLE %I RENAME COLUMN cpu_us TO cpu_ms', relation);
        EXECUTE format('ALTER TABLE %I RENAME COLUMN cpu_us_max TO cpu_ms_max', relation);
        EXECUTE format('ALTER TABLE %I ALTER COLUMN memory_samples TYPE bigint
            USING coalesce(memory_samples, elapsed_ms) / 60000,
            ALTER COLUMN cpu_ms TYPE bigint USING round(cpu_ms / 1000.0),
            ALTER COLUMN cpu_ms_max TYPE bigint USING round(cpu_ms_max / 1000.0), DROP COLUMN elapsed_ms', relation);
    END LOOP;
END $$;

CREATE FUNCTION machine_buckets(m integer, a timestamptz, b timestamptz, width interval) RETURNS SETOF machine_1m_done LANGUAGE sql STABLE AS $$
    SELECT machine, date_bin(width, ts, '2000-01-01 00:00:00+00'),
        count(*), sum(interval_ms)::bigint, count(cpu_usage), avg(cpu_usage), max(cpu_usage),
        avg(load1), max(load1), avg(load5), avg(load15),
        avg(used_ram)::double precision, max(used_ram), min(available_ram), max(total_ram),
        avg(used_swap)::double precision, max(used_swap), max(total_swap),
        avg(used_disk)::double precision, max(used_disk), min(available_disk), max(total_disk),
        avg(process_count)::double precision, max(process_count),
        sum(read_bytes)::bigint, sum(write_bytes)::bigint, sum(received_bytes)::bigint, sum(sent_bytes)::bigint
    FROM snapshots WHERE machine = m AND ts >= a AND ts < b GROUP BY 1, 2
$$;
CREATE FUNCTION process_hour(m integer, a timestamptz) RETURNS SETOF process_1h_done LANGUAGE sql STABLE AS $$
    SELECT m, a, process, sum(cpu_ms)::bigint, max(cpu_ms),
        coalesce(avg(memory_usage) FILTER (WHERE in_full), avg(memory_usage))::double precision,
        coalesce(nullif(count(memory_usage) FILTER (WHERE in_full), 0), count(memory_usage)),
        max(memory_usage), max(threads), sum(read_bytes)::bigint, sum(write_bytes)::bigint, min(ts), max(ts)
    FROM process_samples WHERE machine = m AND ts >= a AND ts < a + interval '1 hour' AND state IS DISTINCT FROM 'exited' GROUP BY process
$$;

-- The hours of [a, b): the stored ones, with dirty ones computed from the series.
CREATE FUNCTION machine_hours(m integer, a timestamptz, b timestamptz) RETURNS SETOF machine_1h_done LANGUAGE sql STABLE AS $$
    SELECT * FROM machine_1h_done d WHERE d.machine = m AND d.bucket >= a AND d.bucket < b
        AND NOT EXISTS (SELECT FROM rollup_marks k WHERE k.machine = d.machine AND k.bucket = d.bucket AND k.level = 1)
    UNION ALL
    SELECT h.* FROM (SELECT DISTINCT k.machine, k.bucket FROM rollup_marks k WHERE k.machine = m AND k.bucket >= a AND k.bucket < b AND k.level = 1) k
        CROSS JOIN LATERAL machine_buckets(k.machine, k.bucket, k.bucket + interval '1 hour', '1 hour') h
$$;
CREATE FUNCTION process_hours(m integer, a timestamptz, b timestamptz) RETURNS SETOF process_1h_done LANGUAGE sql STABLE AS $$
    SELECT * FROM process_1h_done d WHERE d.machine = m AND d.bucket >= a AND d.bucket < b
        AND NOT EXISTS (SELECT FROM rollup_marks k WHERE k.machine = d.machine AND k.bucket = d.bucket AND k.level = 1)
    UNION ALL
    SELECT h.* FROM (SELECT DISTINCT k.machine, k.bucket FROM rollup_marks k WHERE k.machine = m AND k.bucket >= a AND k.bucket < b AND k.level = 1) k
        CROSS JOIN LATERAL process_hour(k.machine, k.bucket) h
$$;

-- One bucket of several hours, computed from the hours. Averages are weighted by their
-- number of samples.
CREATE FUNCTION machine_merge(m integer, a timestamptz, width interval) RETURNS SETOF machine_1h_done LANGUAGE sql STABLE AS $$
    SELECT m, a, sum(samples)::bigint, sum(interval_ms)::bigint, sum(cpu_samples)::bigint,
        sum(cpu_usage_avg * cpu_samples) / nullif(sum(cpu_samples), 0)::double precision, max(cpu_usage_max),
        sum(load1_avg * samples) / nullif(sum(samples) FILTER (WHERE load1_avg IS NOT NULL), 0)::double precision, max(load1_max),
        sum(load5_avg * samples) / nullif(sum(samples) FILTER (WHERE load5_avg IS NOT NULL), 0)::double precision,
        sum(load15_avg * samples) / nullif(sum(samples) FILTER (WHERE load15_avg IS NOT NULL), 0)::double precision,
        sum(used_ram_avg * samples) / nullif(sum(samples) FILTER (WHERE used_ram_avg IS NOT NULL), 0)::double precision,
        max(used_ram_max), min(available_ram_min), max(total_ram),
        sum(used_swap_avg * samples) / nullif(sum(samples) FILTER (WHERE used_swap_avg IS NOT NULL), 0)::double precision,
        max(used_swap_max), max(total_swap),
        sum(used_disk_avg * samples) / nullif(sum(samples) FILTER (WHERE used_disk_avg IS NOT NULL), 0)::double precision,
        max(used_disk_max), min(available_disk_min), max(total_disk),
        sum(process_count_avg * samples) / nullif(sum(samples), 0)::double precision, max(process_count_max),
        sum(read_bytes)::bigint, sum(write_bytes)::bigint, sum(received_bytes)::bigint, sum(sent_bytes)::bigint
    FROM machine_hours(m, a, a + width) HAVING count(*) > 0
$$;
CREATE FUNCTION process_merge(m integer, a timestamptz, width interval) RETURNS SETOF process_1h_done LANGUAGE sql STABLE AS $$
    SELECT m, a, process, sum(cpu_ms)::bigint, max(cpu_ms_max),
        sum(memory_avg * memory_samples) / nullif(sum(memory_samples), 0)::double precision, sum(memory_samples)::bigint,
        max(memory_max), max(threads_max), sum(read_bytes)::bigint, sum(write_bytes)::bigint, min(first_ts), max(last_ts)
    FROM process_hours(m, a, a + width) GROUP BY process
$$;

CREATE VIEW machine_1m AS
    SELECT * FROM machine_1m_done d WHERE NOT EXISTS (SELECT FROM rollup_marks k
        WHERE k.machine = d.machine AND k.bucket = date_bin('1 hour', d.bucket, '2000-01-01 00:00:00+00') AND k.level = 1)
    UNION ALL SELECT h.* FROM rollup_dirty_1h k CROSS JOIN LATERAL machine_buckets(k.machine, k.bucket, k.bucket + interval '1 hour', '1 minute') h;
CREATE VIEW machine_1h AS
    SELECT * FROM machine_1h_done d WHERE NOT EXISTS (SELECT FROM rollup_dirty_1h k WHERE k.machine = d.machine AND k.bucket = d.bucket)
    UNION ALL SELECT h.* FROM rollup_dirty_1h k CROSS JOIN LATERAL machine_buckets(k.machine, k.bucket, k.bucket + interval '1 hour', '1 hour') h;
CREATE VIEW machine_3h AS
    SELECT * FROM machine_3h_done d WHERE NOT EXISTS (SELECT FROM rollup_dirty_3h k WHERE k.machine = d.machine AND k.bucket = d.bucket)
    UNION ALL SELECT h.* FROM rollup_dirty_3h k CROSS JOIN LATERAL machine_merge(k.machine, k.bucket, '3 hours') h;
CREATE VIEW machine_1d AS
    SELECT * FROM machine_1d_done d WHERE NOT EXISTS (SELECT FROM rollup_dirty_1d k WHERE k.machine = d.machine AND k.bucket = d.bucket)
    UNION ALL SELECT h.* FROM rollup_dirty_1d k CROSS JOIN LATERAL machine_merge(k.machine, k.bucket, '1 day') h;
CREATE VIEW process_1h AS
    SELECT * FROM process_1h_done d WHERE NOT EXISTS (SELECT FROM rollup_dirty_1h k WHERE k.machine = d.machine AND k.bucket = d.bucket)
    UNION ALL SELECT h.* FROM rollup_dirty_1h k CROSS JOIN LATERAL process_hour(k.machine, k.bucket) h;
CREATE VIEW process_3h AS
    SELECT * FROM process_3h_done d WHERE NOT EXISTS (SELECT FROM rollup_dirty_3h k WHERE k.machine = d.machine AND k.bucket = d.bucket)
    UNION ALL SELECT h.* FROM rollup_dirty_3h k CROSS JOIN LATERAL process_merge(k.machine, k.bucket, '3 hours') h;
CREATE VIEW process_1d AS
    SELECT * FROM process_1d_done d WHERE NOT EXISTS (SELECT FROM rollup_dirty_1d k WHERE k.machine = d.machine AND k.bucket = d.bucket)
    UNION ALL SELECT h.* FROM rollup_dirty_1d k CROSS JOIN LATERAL process_merge(k.machine, k.bucket, '1 day') h;

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

-- Earlier versions do not know from when data is complete.
DELETE FROM settings WHERE key = 'complete_from';
