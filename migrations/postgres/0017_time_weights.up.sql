-- Averages of the postgres profile are weighted by time, and a bucket is (bucket, bucket + width], because a sample at
-- ts covers (ts - interval, ts]. Timestamps are whole milliseconds, so the bucket of ts is that of ts - 1 ms.
--
-- Each average has the time that it covers, such as load1_ms for load1_avg: the milliseconds of the snapshots that have
-- the value. It is null if that is interval_ms. In rows of earlier versions it is null, too: they keep their averages.
--
-- Rollups have CPU times in microseconds. The views have them in milliseconds, too: sums of those are rounded.
--
-- Filter the views by bucket_key. It is the same as bucket here, and an indexed column in both profiles.

DROP VIEW history.machine_1m, history.machine_1h, history.machine_3h, history.machine_1d, history.process_1h,
    history.process_3h, history.process_1d;
DROP FUNCTION history.machine_buckets, history.machine_merge, history.process_hour, history.process_merge;
DROP VIEW machine_1m, machine_1h, machine_3h, machine_1d, process_1h, process_3h, process_1d;
DROP FUNCTION machine_merge, process_merge, machine_hours, process_hours, machine_buckets, process_hour;

DO $$
DECLARE
    relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['machine_1m_done', 'machine_1h_done', 'machine_3h_done', 'machine_1d_done'] LOOP
        EXECUTE format('ALTER TABLE %I RENAME COLUMN cpu_samples TO process_count_sum', relation);
        EXECUTE format('ALTER TABLE %I ALTER COLUMN process_count_sum TYPE bigint
            USING round(process_count_avg * samples)::bigint,
            ADD COLUMN cpu_usage_ms bigint, ADD COLUMN load1_ms bigint, ADD COLUMN load5_ms bigint,
            ADD COLUMN load15_ms bigint, ADD COLUMN used_ram_ms bigint, ADD COLUMN used_swap_ms bigint,
            ADD COLUMN used_disk_ms bigint, ADD COLUMN read_ms bigint, ADD COLUMN write_ms bigint,
            ADD COLUMN received_ms bigint, ADD COLUMN sent_ms bigint,
            ADD COLUMN buffers_ram_avg double precision, ADD COLUMN cached_ram_avg double precision,
            ADD COLUMN shared_ram_avg double precision, ADD COLUMN slab_ram_avg double precision,
            ADD COLUMN buffers_ram_ms bigint, ADD COLUMN cached_ram_ms bigint, ADD COLUMN shared_ram_ms bigint,
            ADD COLUMN slab_ram_ms bigint', relation);
    END LOOP;
    -- memory_samples was the number of full snapshots, and there is one each minute.
    FOREACH relation IN ARRAY ARRAY['process_1h_done', 'process_3h_done', 'process_1d_done'] LOOP
        EXECUTE format('ALTER TABLE %I RENAME COLUMN memory_samples TO memory_ms', relation);
        EXECUTE format('ALTER TABLE %I RENAME COLUMN cpu_ms TO cpu_us', relation);
        EXECUTE format('ALTER TABLE %I RENAME COLUMN cpu_ms_max TO cpu_us_max', relation);
        EXECUTE format('ALTER TABLE %I ALTER COLUMN memory_ms TYPE bigint USING memory_ms * 60000,
            ALTER COLUMN cpu_us TYPE bigint USING to_bigint(cpu_us::numeric * 1000),
            ALTER COLUMN cpu_us_max TYPE bigint USING to_bigint(cpu_us_max::numeric * 1000),
            ADD COLUMN elapsed_ms bigint', relation);
    END LOOP;
END $$;

-- The aggregates of a machine's snapshots in (a, b]. The functions are plain SQL, which the planner inlines.
CREATE FUNCTION machine_buckets(m integer, a timestamptz, b timestamptz, width interval)
    RETURNS SETOF machine_1m_done LANGUAGE sql STABLE AS $$
    SELECT machine, date_bin(width, ts - interval '1 ms', '2000-01-01 00:00:00+00'),
        count(*),
        sum(interval_ms)::bigint,
        sum(process_count),
        coalesce(sum(cpu_usage::double precision * interval_ms)
            / nullif(sum(interval_ms) FILTER (WHERE cpu_usage IS NOT NULL), 0)::double precision,
            avg(cpu_usage)::double precision),
        max(cpu_usage),
        coalesce(sum(load1::double precision * interval_ms)
            / nullif(sum(interval_ms) FILTER (WHERE load1 IS NOT NULL), 0)::double precision,
            avg(load1)::double precision),
        max(load1),
        coalesce(sum(load5::double precision * interval_ms)
            / nullif(sum(interval_ms) FILTER (WHERE load5 IS NOT NULL), 0)::double precision,
            avg(load5)::double precision),
        coalesce(sum(load15::double precision * interval_ms)
            / nullif(sum(interval_ms) FILTER (WHERE load15 IS NOT NULL), 0)::double precision,
            avg(load15)::double precision),
        coalesce(sum(used_ram::double precision * interval_ms)
            / nullif(sum(interval_ms) FILTER (WHERE used_ram IS NOT NULL), 0)::double precision,
            avg(used_ram)::double precision),
        max(used_ram),
        min(available_ram),
        max(total_ram),
        coalesce(sum(used_swap::double precision * interval_ms)
            / nullif(sum(interval_ms) FILTER (WHERE used_swap IS NOT NULL), 0)::double precision,
            avg(used_swap)::double precision),
        max(used_swap),
        max(total_swap),
        coalesce(sum(used_disk::double precision * interval_ms)
            / nullif(sum(interval_ms) FILTER (WHERE used_disk IS NOT NULL), 0)::double precision,
            avg(used_disk)::double precision),
        max(used_disk),
        min(available_disk),
        max(total_disk),
        coalesce(sum(process_count::double precision * interval_ms)
            / nullif(sum(interval_ms), 0)::double precision, avg(process_count)::double precision),
        max(process_count),
        to_bigint(sum(read_bytes)),
        to_bigint(sum(write_bytes)),
        to_bigint(sum(received_bytes)),
        to_bigint(sum(sent_bytes)),
        nullif(sum(interval_ms) FILTER (WHERE cpu_usage IS NOT NULL), sum(interval_ms))::bigint,
        nullif(sum(interval_ms) FILTER (WHERE load1 IS NOT NULL), sum(interval_ms))::bigint,
        nullif(sum(interval_ms) FILTER (WHERE load5 IS NOT NULL), sum(interval_ms))::bigint,
        nullif(sum(interval_ms) FILTER (WHERE load15 IS NOT NULL), sum(interval_ms))::bigint,
        nullif(sum(interval_ms) FILTER (WHERE used_ram IS NOT NULL), sum(interval_ms))::bigint,
        nullif(sum(interval_ms) FILTER (WHERE used_swap IS NOT NULL), sum(interval_ms))::bigint,
        nullif(sum(interval_ms) FILTER (WHERE used_disk IS NOT NULL), sum(interval_ms))::bigint,
        nullif(sum(interval_ms) FILTER (WHERE read_bytes IS NOT NULL), sum(interval_ms))::bigint,
        nullif(sum(interval_ms) FILTER (WHERE write_bytes IS NOT NULL), sum(interval_ms))::bigint,
        nullif(sum(interval_ms) FILTER (WHERE received_bytes IS NOT NULL), sum(interval_ms))::bigint,
        nullif(sum(interval_ms) FILTER (WHERE sent_bytes IS NOT NULL), sum(interval_ms))::bigint,
        coalesce(sum(buffers_ram::double precision * interval_ms)
            / nullif(sum(interval_ms) FILTER (WHERE buffers_ram IS NOT NULL), 0)::double precision,
            avg(buffers_ram)::double precision),
        coalesce(sum(cached_ram::double precision * interval_ms)
            / nullif(sum(interval_ms) FILTER (WHERE cached_ram IS NOT NULL), 0)::double precision,
            avg(cached_ram)::double precision),
        coalesce(sum(shared_ram::double precision * interval_ms)
            / nullif(sum(interval_ms) FILTER (WHERE shared_ram IS NOT NULL), 0)::double precision,
            avg(shared_ram)::double precision),
        coalesce(sum(slab_ram::double precision * interval_ms)
            / nullif(sum(interval_ms) FILTER (WHERE slab_ram IS NOT NULL), 0)::double precision,
            avg(slab_ram)::double precision),
        nullif(sum(interval_ms) FILTER (WHERE buffers_ram IS NOT NULL), sum(interval_ms))::bigint,
        nullif(sum(interval_ms) FILTER (WHERE cached_ram IS NOT NULL), sum(interval_ms))::bigint,
        nullif(sum(interval_ms) FILTER (WHERE shared_ram IS NOT NULL), sum(interval_ms))::bigint,
        nullif(sum(interval_ms) FILTER (WHERE slab_ram IS NOT NULL), sum(interval_ms))::bigint
    FROM snapshots WHERE machine = m AND ts > a AND ts <= b GROUP BY 1, 2
$$;

CREATE FUNCTION process_hour(m integer, a timestamptz)
    RETURNS SETOF process_1h_done LANGUAGE sql STABLE AS $$
    SELECT m, a, process, cpu_us, cpu_us_max, memory_avg, memory_ms, memory_max, threads_max, read_bytes, write_bytes,
        first_ts, last_ts, elapsed_ms
    FROM process_window(m, a, a + interval '1 hour', NULL, false)
$$;

-- The hours of [a, b): the stored ones, with dirty ones computed from the series.
CREATE FUNCTION machine_hours(m integer, a timestamptz, b timestamptz)
    RETURNS SETOF machine_1h_done LANGUAGE sql STABLE AS $$
    SELECT * FROM machine_1h_done d WHERE d.machine = m AND d.bucket >= a AND d.bucket < b
        AND NOT EXISTS (SELECT FROM rollup_marks k
            WHERE k.machine = d.machine AND k.bucket = d.bucket AND k.level = 1)
    UNION ALL
    SELECT h.* FROM (
        SELECT DISTINCT k.machine, k.bucket FROM rollup_marks k
        WHERE k.machine = m AND k.bucket >= a AND k.bucket < b AND k.level = 1) k
        CROSS JOIN LATERAL machine_buckets(k.machine, k.bucket, k.bucket + interval '1 hour', '1 hour') h
$$;

CREATE FUNCTION process_hours(m integer, a timestamptz, b timestamptz)
    RETURNS SETOF process_1h_done LANGUAGE sql STABLE AS $$
    SELECT * FROM process_1h_done d WHERE d.machine = m AND d.bucket >= a AND d.bucket < b
        AND NOT EXISTS (SELECT FROM rollup_marks k
            WHERE k.machine = d.machine AND k.bucket = d.bucket AND k.level = 1)
    UNION ALL
    SELECT h.* FROM (
        SELECT DISTINCT k.machine, k.bucket FROM rollup_marks k
        WHERE k.machine = m AND k.bucket >= a AND k.bucket < b AND k.level = 1) k
        CROSS JOIN LATERAL process_hour(k.machine, k.bucket) h
$$;

-- One bucket of several hours, computed from the hours.
DO $$
DECLARE
    machine_merge CONSTANT text := $merge$
        sum(samples)::bigint,
        sum(interval_ms)::bigint,
        sum(process_count_sum)::bigint,
        coalesce(sum(cpu_usage_avg * coalesce(cpu_usage_ms, interval_ms))
            / nullif(sum(coalesce(cpu_usage_ms, interval_ms)) FILTER (WHERE cpu_usage_avg IS NOT NULL),
            0)::double precision, avg(cpu_usage_avg)),
        max(cpu_usage_max),
        coalesce(sum(load1_avg * coalesce(load1_ms, interval_ms))
            / nullif(sum(coalesce(load1_ms, interval_ms)) FILTER (WHERE load1_avg IS NOT NULL), 0)::double precision,
            avg(load1_avg)),
        max(load1_max),
        coalesce(sum(load5_avg * coalesce(load5_ms, interval_ms))
            / nullif(sum(coalesce(load5_ms, interval_ms)) FILTER (WHERE load5_avg IS NOT NULL), 0)::double precision,
            avg(load5_avg)),
        coalesce(sum(load15_avg * coalesce(load15_ms, interval_ms))
            / nullif(sum(coalesce(load15_ms, interval_ms)) FILTER (WHERE load15_avg IS NOT NULL),
            0)::double precision, avg(load15_avg)),
        coalesce(sum(used_ram_avg * coalesce(used_ram_ms, interval_ms))
            / nullif(sum(coalesce(used_ram_ms, interval_ms)) FILTER (WHERE used_ram_avg IS NOT NULL),
            0)::double precision, avg(used_ram_avg)),
        max(used_ram_max),
        min(available_ram_min),
        max(total_ram),
        coalesce(sum(used_swap_avg * coalesce(used_swap_ms, interval_ms))
            / nullif(sum(coalesce(used_swap_ms, interval_ms)) FILTER (WHERE used_swap_avg IS NOT NULL),
            0)::double precision, avg(used_swap_avg)),
        max(used_swap_max),
        max(total_swap),
        coalesce(sum(used_disk_avg * coalesce(used_disk_ms, interval_ms))
            / nullif(sum(coalesce(used_disk_ms, interval_ms)) FILTER (WHERE used_disk_avg IS NOT NULL),
            0)::double precision, avg(used_disk_avg)),
        max(used_disk_max),
        min(available_disk_min),
        max(total_disk),
        coalesce(sum(process_count_avg * interval_ms)
            / nullif(sum(interval_ms), 0)::double precision, avg(process_count_avg)),
        max(process_count_max),
        to_bigint(sum(read_bytes)),
        to_bigint(sum(write_bytes)),
        to_bigint(sum(received_bytes)),
        to_bigint(sum(sent_bytes)),
        nullif(sum(coalesce(cpu_usage_ms, interval_ms)) FILTER (WHERE cpu_usage_avg IS NOT NULL),
            sum(interval_ms))::bigint,
        nullif(sum(coalesce(load1_ms, interval_ms)) FILTER (WHERE load1_avg IS NOT NULL), sum(interval_ms))::bigint,
        nullif(sum(coalesce(load5_ms, interval_ms)) FILTER (WHERE load5_avg IS NOT NULL), sum(interval_ms))::bigint,
        nullif(sum(coalesce(load15_ms, interval_ms)) FILTER (WHERE load15_avg IS NOT NULL), sum(interval_ms))::bigint,
        nullif(sum(coalesce(used_ram_ms, interval_ms)) FILTER (WHERE used_ram_avg IS NOT NULL),
            sum(interval_ms))::bigint,
        nullif(sum(coalesce(used_swap_ms, interval_ms)) FILTER (WHERE used_swap_avg IS NOT NULL),
            sum(interval_ms))::bigint,
        nullif(sum(coalesce(used_disk_ms, interval_ms)) FILTER (WHERE used_disk_avg IS NOT NULL),
            sum(interval_ms))::bigint,
        nullif(sum(coalesce(read_ms, interval_ms)) FILTER (WHERE read_bytes IS NOT NULL), sum(interval_ms))::bigint,
        nullif(sum(coalesce(write_ms, interval_ms)) FILTER (WHERE write_bytes IS NOT NULL), sum(interval_ms))::bigint,
        nullif(sum(coalesce(received_ms, interval_ms)) FILTER (WHERE received_bytes IS NOT NULL),
            sum(interval_ms))::bigint,
        nullif(sum(coalesce(sent_ms, interval_ms)) FILTER (WHERE sent_bytes IS NOT NULL), sum(interval_ms))::bigint,
        coalesce(sum(buffers_ram_avg * coalesce(buffers_ram_ms, interval_ms))
            / nullif(sum(coalesce(buffers_ram_ms, interval_ms)) FILTER (WHERE buffers_ram_avg IS NOT NULL),
            0)::double precision, avg(buffers_ram_avg)),
        coalesce(sum(cached_ram_avg * coalesce(cached_ram_ms, interval_ms))
            / nullif(sum(coalesce(cached_ram_ms, interval_ms)) FILTER (WHERE cached_ram_avg IS NOT NULL),
            0)::double precision, avg(cached_ram_avg)),
        coalesce(sum(shared_ram_avg * coalesce(shared_ram_ms, interval_ms))
            / nullif(sum(coalesce(shared_ram_ms, interval_ms)) FILTER (WHERE shared_ram_avg IS NOT NULL),
            0)::double precision, avg(shared_ram_avg)),
        coalesce(sum(slab_ram_avg * coalesce(slab_ram_ms, interval_ms))
            / nullif(sum(coalesce(slab_ram_ms, interval_ms)) FILTER (WHERE slab_ram_avg IS NOT NULL),
            0)::double precision, avg(slab_ram_avg)),
        nullif(sum(coalesce(buffers_ram_ms, interval_ms)) FILTER (WHERE buffers_ram_avg IS NOT NULL),
            sum(interval_ms))::bigint,
        nullif(sum(coalesce(cached_ram_ms, interval_ms)) FILTER (WHERE cached_ram_avg IS NOT NULL),
            sum(interval_ms))::bigint,
        nullif(sum(coalesce(shared_ram_ms, interval_ms)) FILTER (WHERE shared_ram_avg IS NOT NULL),
            sum(interval_ms))::bigint,
        nullif(sum(coalesce(slab_ram_ms, interval_ms)) FILTER (WHERE slab_ram_avg IS NOT NULL),
            sum(interval_ms))::bigint
    $merge$;
    process_merge CONSTANT text := $merge$
        to_bigint(sum(cpu_us)),
        max(cpu_us_max),
        coalesce(sum(memory_avg * coalesce(memory_ms, elapsed_ms,
            (extract(epoch FROM last_ts - first_ts) * 1000)::bigint + 60000)) / nullif(sum(coalesce(memory_ms,
            elapsed_ms, (extract(epoch FROM last_ts - first_ts) * 1000)::bigint + 60000))
            FILTER (WHERE memory_avg IS NOT NULL), 0)::double precision, avg(memory_avg)),
        nullif(sum(coalesce(memory_ms, elapsed_ms,
            (extract(epoch FROM last_ts - first_ts) * 1000)::bigint + 60000)) FILTER (WHERE memory_avg IS NOT NULL),
            sum(elapsed_ms))::bigint,
        max(memory_max),
        max(threads_max),
        to_bigint(sum(read_bytes)),
        to_bigint(sum(write_bytes)),
        min(first_ts),
        max(last_ts),
        CASE WHEN count(*) = count(elapsed_ms) THEN sum(elapsed_ms)::bigint END
    $merge$;
BEGIN
    EXECUTE 'CREATE FUNCTION machine_merge(m integer, a timestamptz, width interval)
        RETURNS SETOF machine_1h_done LANGUAGE sql STABLE AS $f$
        SELECT m, a,' || machine_merge || 'FROM machine_hours(m, a, a + width) HAVING count(*) > 0 $f$';
    EXECUTE 'CREATE FUNCTION process_merge(m integer, a timestamptz, width interval)
        RETURNS SETOF process_1h_done LANGUAGE sql STABLE AS $f$
        SELECT m, a, process,' || process_merge || 'FROM process_hours(m, a, a + width) GROUP BY process $f$';
    PERFORM set_config('snapwatch.machine_merge', machine_merge, true), -- used below
        set_config('snapwatch.process_merge', process_merge, true);
END $$;

-- The condition h.machine = k.machine is always true. Without it, the functions would be called for the hours of all
-- machines if one machine is read.
CREATE VIEW machine_1m AS
    SELECT *, bucket AS bucket_key FROM machine_1m_done d
    WHERE NOT EXISTS (SELECT FROM rollup_marks k
        WHERE k.machine = d.machine AND k.bucket = date_bin('1 hour', d.bucket, '2000-01-01 00:00:00+00')
            AND k.level = 1)
    UNION ALL
    SELECT h.*, h.bucket FROM rollup_dirty_1h k CROSS JOIN LATERAL
        machine_buckets(k.machine, k.bucket, k.bucket + interval '1 hour', '1 minute') h
    WHERE h.machine = k.machine;
CREATE VIEW machine_1h AS
    SELECT *, bucket AS bucket_key FROM machine_1h_done d
    WHERE NOT EXISTS (SELECT FROM rollup_dirty_1h k WHERE k.machine = d.machine AND k.bucket = d.bucket)
    UNION ALL
    SELECT h.*, h.bucket FROM rollup_dirty_1h k CROSS JOIN LATERAL
        machine_buckets(k.machine, k.bucket, k.bucket + interval '1 hour', '1 hour') h
    WHERE h.machine = k.machine;
CREATE VIEW machine_3h AS
    SELECT *, bucket AS bucket_key FROM machine_3h_done d
    WHERE NOT EXISTS (SELECT FROM rollup_dirty_3h k WHERE k.machine = d.machine AND k.bucket = d.bucket)
    UNION ALL
    SELECT h.*, h.bucket FROM rollup_dirty_3h k CROSS JOIN LATERAL
        machine_merge(k.machine, k.bucket, '3 hours') h
    WHERE h.machine = k.machine;
CREATE VIEW machine_1d AS
    SELECT *, bucket AS bucket_key FROM machine_1d_done d
    WHERE NOT EXISTS (SELECT FROM rollup_dirty_1d k WHERE k.machine = d.machine AND k.bucket = d.bucket)
    UNION ALL
    SELECT h.*, h.bucket FROM rollup_dirty_1d k CROSS JOIN LATERAL
        machine_merge(k.machine, k.bucket, '24 hours') h
    WHERE h.machine = k.machine;
CREATE VIEW process_1h AS
    SELECT *, bucket AS bucket_key, cpu_us / 1000::double precision AS cpu_ms,
        cpu_us_max / 1000::double precision AS cpu_ms_max
    FROM process_1h_done d
    WHERE NOT EXISTS (SELECT FROM rollup_dirty_1h k WHERE k.machine = d.machine AND k.bucket = d.bucket)
    UNION ALL
    SELECT h.*, h.bucket, h.cpu_us / 1000::double precision, h.cpu_us_max / 1000::double precision
    FROM rollup_dirty_1h k CROSS JOIN LATERAL
        process_hour(k.machine, k.bucket) h
    WHERE h.machine = k.machine;
CREATE VIEW process_3h AS
    SELECT *, bucket AS bucket_key, cpu_us / 1000::double precision AS cpu_ms,
        cpu_us_max / 1000::double precision AS cpu_ms_max
    FROM process_3h_done d
    WHERE NOT EXISTS (SELECT FROM rollup_dirty_3h k WHERE k.machine = d.machine AND k.bucket = d.bucket)
    UNION ALL
    SELECT h.*, h.bucket, h.cpu_us / 1000::double precision, h.cpu_us_max / 1000::double precision
    FROM rollup_dirty_3h k CROSS JOIN LATERAL
        process_merge(k.machine, k.bucket, '3 hours') h
    WHERE h.machine = k.machine;
CREATE VIEW process_1d AS
    SELECT *, bucket AS bucket_key, cpu_us / 1000::double precision AS cpu_ms,
        cpu_us_max / 1000::double precision AS cpu_ms_max
    FROM process_1d_done d
    WHERE NOT EXISTS (SELECT FROM rollup_dirty_1d k WHERE k.machine = d.machine AND k.bucket = d.bucket)
    UNION ALL
    SELECT h.*, h.bucket, h.cpu_us / 1000::double precision, h.cpu_us_max / 1000::double precision
    FROM rollup_dirty_1d k CROSS JOIN LATERAL
        process_merge(k.machine, k.bucket, '24 hours') h
    WHERE h.machine = k.machine;

-- The same for readers, who have no access to the tables. These functions have the privileges of their owner.
CREATE FUNCTION history.machine_buckets(m integer, a timestamptz, b timestamptz, width interval)
    RETURNS SETOF machine_1m_done LANGUAGE sql STABLE SECURITY DEFINER
    AS $$ SELECT * FROM machine_buckets(m, a, b, width) $$;
CREATE FUNCTION history.machine_merge(m integer, a timestamptz, width interval)
    RETURNS SETOF machine_1h_done LANGUAGE sql STABLE SECURITY DEFINER
    AS $$ SELECT * FROM machine_merge(m, a, width) $$;
CREATE FUNCTION history.process_hour(m integer, a timestamptz)
    RETURNS SETOF process_1h_done LANGUAGE sql STABLE SECURITY DEFINER
    AS $$ SELECT * FROM process_hour(m, a) $$;
CREATE FUNCTION history.process_merge(m integer, a timestamptz, width interval)
    RETURNS SETOF process_1h_done LANGUAGE sql STABLE SECURITY DEFINER
    AS $$ SELECT * FROM process_merge(m, a, width) $$;
DO $$
DECLARE
    f regprocedure;
BEGIN
    FOR f IN SELECT p.oid FROM pg_proc p WHERE p.pronamespace = 'history'::regnamespace LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', f, current_schema());
    END LOOP;
END $$;

CREATE VIEW history.machine_1m AS
    SELECT *, bucket AS bucket_key FROM machine_1m_done d
    WHERE NOT EXISTS (SELECT FROM rollup_marks k
        WHERE k.machine = d.machine AND k.bucket = date_bin('1 hour', d.bucket, '2000-01-01 00:00:00+00')
            AND k.level = 1)
    UNION ALL
    SELECT h.*, h.bucket FROM rollup_dirty_1h k CROSS JOIN LATERAL
        history.machine_buckets(k.machine, k.bucket, k.bucket + interval '1 hour', '1 minute') h
    WHERE h.machine = k.machine;
CREATE VIEW history.machine_1h AS
    SELECT *, bucket AS bucket_key FROM machine_1h_done d
    WHERE NOT EXISTS (SELECT FROM rollup_dirty_1h k WHERE k.machine = d.machine AND k.bucket = d.bucket)
    UNION ALL
    SELECT h.*, h.bucket FROM rollup_dirty_1h k CROSS JOIN LATERAL
        history.machine_buckets(k.machine, k.bucket, k.bucket + interval '1 hour', '1 hour') h
    WHERE h.machine = k.machine;
CREATE VIEW history.machine_3h AS
    SELECT *, bucket AS bucket_key FROM machine_3h_done d
    WHERE NOT EXISTS (SELECT FROM rollup_dirty_3h k WHERE k.machine = d.machine AND k.bucket = d.bucket)
    UNION ALL
    SELECT h.*, h.bucket FROM rollup_dirty_3h k CROSS JOIN LATERAL
        history.machine_merge(k.machine, k.bucket, '3 hours') h
    WHERE h.machine = k.machine;
CREATE VIEW history.machine_1d AS
    SELECT *, bucket AS bucket_key FROM machine_1d_done d
    WHERE NOT EXISTS (SELECT FROM rollup_dirty_1d k WHERE k.machine = d.machine AND k.bucket = d.bucket)
    UNION ALL
    SELECT h.*, h.bucket FROM rollup_dirty_1d k CROSS JOIN LATERAL
        history.machine_merge(k.machine, k.bucket, '24 hours') h
    WHERE h.machine = k.machine;
CREATE VIEW history.process_1h AS
    SELECT *, bucket AS bucket_key, cpu_us / 1000::double precision AS cpu_ms,
        cpu_us_max / 1000::double precision AS cpu_ms_max
    FROM process_1h_done d
    WHERE NOT EXISTS (SELECT FROM rollup_dirty_1h k WHERE k.machine = d.machine AND k.bucket = d.bucket)
    UNION ALL
    SELECT h.*, h.bucket, h.cpu_us / 1000::double precision, h.cpu_us_max / 1000::double precision
    FROM rollup_dirty_1h k CROSS JOIN LATERAL
        history.process_hour(k.machine, k.bucket) h
    WHERE h.machine = k.machine;
CREATE VIEW history.process_3h AS
    SELECT *, bucket AS bucket_key, cpu_us / 1000::double precision AS cpu_ms,
        cpu_us_max / 1000::double precision AS cpu_ms_max
    FROM process_3h_done d
    WHERE NOT EXISTS (SELECT FROM rollup_dirty_3h k WHERE k.machine = d.machine AND k.bucket = d.bucket)
    UNION ALL
    SELECT h.*, h.bucket, h.cpu_us / 1000::double precision, h.cpu_us_max / 1000::double precision
    FROM rollup_dirty_3h k CROSS JOIN LATERAL
        history.process_merge(k.machine, k.bucket, '3 hours') h
    WHERE h.machine = k.machine;
CREATE VIEW history.process_1d AS
    SELECT *, bucket AS bucket_key, cpu_us / 1000::double precision AS cpu_ms,
        cpu_us_max / 1000::double precision AS cpu_ms_max
    FROM process_1d_done d
    WHERE NOT EXISTS (SELECT FROM rollup_dirty_1d k WHERE k.machine = d.machine AND k.bucket = d.bucket)
    UNION ALL
    SELECT h.*, h.bucket, h.cpu_us / 1000::double precision, h.cpu_us_max / 1000::double precision
    FROM rollup_dirty_1d k CROSS JOIN LATERAL
        history.process_merge(k.machine, k.bucket, '24 hours') h
    WHERE h.machine = k.machine;

-- A bucket that cannot be computed is set aside for a while, so that it does not stop others.
ALTER TABLE rollup_marks ADD COLUMN failed_at timestamptz;
COMMENT ON COLUMN rollup_marks.failed_at IS 'when the bucket could not be computed, the last time';

-- Find out from when data is complete: store/backend/floors.go.
DO $$
DECLARE
    level record;
    dropped timestamptz; -- the end of what was dropped of the source
    floors jsonb := '{}';
    seam timestamptz; -- the end of what was dropped of the series
    kept boolean;
BEGIN
    FOR level IN SELECT * FROM (VALUES
        ('machine_1m', 'snapshots', 'snapshots', interval '1 minute'),
        ('machine_1h', 'snapshots', 'snapshots', '1 hour'),
        ('machine_3h', 'machine_1h_done', 'machine_1h', '3 hours'),
        ('machine_1d', 'machine_1h_done', 'machine_1h', '1 day'),
        ('process_1h', 'process_samples', 'process_samples', '1 hour'),
        ('process_3h', 'process_1h_done', 'process_1h', '3 hours'),
        ('process_1d', 'process_1h_done', 'process_1h', '1 day')) v(name, source_table, source, width)
    LOOP
        -- Where there are buckets, but no partition of their source, the source was dropped. Other holes had no data.
        EXECUTE format('WITH partitions AS (
                SELECT substring(bounds FROM ''FROM \(''''([^'''']*)''''\)'')::timestamptz AS a,
                    substring(bounds FROM ''TO \(''''([^'''']*)''''\)'')::timestamptz AS b
                FROM (SELECT pg_get_expr(c.relpartbound, c.oid) AS bounds
                    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                    WHERE i.inhparent = $1::regclass AND NOT i.inhdetachpending) p
                WHERE bounds LIKE ''FOR VALUES%%''),
            holes AS (
                SELECT coalesce(lag(b) OVER (ORDER BY a), ''-infinity'') AS a, a AS b FROM partitions
                UNION ALL
                SELECT coalesce(max(b), ''-infinity''), ''infinity'' FROM partitions)
            SELECT max(l.bucket) + $2 FROM holes CROSS JOIN LATERAL (
                SELECT bucket FROM %I WHERE bucket >= a AND bucket < b ORDER BY bucket DESC LIMIT 1) l
            WHERE a < b', level.name || '_done') INTO dropped USING level.source_table, level.width;
        dropped := greatest(dropped, (floors ->> level.source)::timestamptz);
        IF dropped IS NOT NULL THEN
            floors := floors || jsonb_build_object(level.source, dropped);
        END IF;
    END LOOP;
    IF floors = '{}' THEN
        RETURN;
    END IF;
    INSERT INTO settings (key, value) VALUES ('complete_from', floors::text)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value;

    -- A snapshot at the end of what was dropped was in the bucket after it, and is now in the bucket before it. That
    -- one is not computed again, so the snapshot is added to it.
    FOR level IN SELECT * FROM (VALUES
        ('machine_1m', interval '1 minute'), ('machine_1h', '1 hour'), ('machine_3h', '3 hours'),
        ('machine_1d', '1 day'), ('process_1h', '1 hour'), ('process_3h', '3 hours'),
        ('process_1d', '1 day')) v(name, width)
    LOOP
        seam := (floors ->>
            CASE WHEN level.name LIKE 'machine%' THEN 'snapshots' ELSE 'process_samples' END)::timestamptz;
        EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE bucket >= $1 - interval ''1 day'' AND bucket < $1)',
            level.name || '_done') INTO kept USING seam; -- so there is a partition
        kept := kept AND seam = date_bin(level.width, seam, '2000-01-01 00:00:00+00');
        IF kept AND level.name LIKE 'machine%' THEN
            EXECUTE format('WITH before AS (
                    DELETE FROM %1$I t USING snapshots s
                    WHERE s.ts = $1 AND t.machine = s.machine AND t.bucket = $2 RETURNING t.*)
                INSERT INTO %1$I SELECT machine, bucket, %2$s FROM (
                    SELECT * FROM before
                    UNION ALL
                    SELECT machine, $2, 1, interval_ms, process_count, cpu_usage, cpu_usage, load1, load1, load5,
                        load15, used_ram, used_ram, available_ram, total_ram, used_swap, used_swap, total_swap,
                        used_disk, used_disk, available_disk, total_disk, process_count, process_count, read_bytes,
                        write_bytes, received_bytes, sent_bytes, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
                        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
                    FROM snapshots WHERE ts = $1) r
                GROUP BY machine, bucket', level.name || '_done', current_setting('snapwatch.machine_merge'))
            USING seam, seam - level.width;
        ELSIF kept THEN
            EXECUTE format('WITH before AS (
                    DELETE FROM %1$I t USING process_samples s
                    WHERE s.ts = $1 AND s.state IS DISTINCT FROM ''exited'' AND t.machine = s.machine
                        AND t.process = s.process AND t.bucket = $2 RETURNING t.*)
                INSERT INTO %1$I SELECT machine, bucket, process, %2$s FROM (
                    SELECT * FROM before
                    UNION ALL
                    SELECT machine, $2, process, cpu_ms * 1000, cpu_ms * 1000, memory_usage, NULL, memory_usage,
                        threads, read_bytes, write_bytes, ts, ts, NULL
                    FROM process_samples WHERE ts = $1 AND state IS DISTINCT FROM ''exited'') r
                GROUP BY machine, bucket, process', level.name || '_done', current_setting('snapwatch.process_merge'))
            USING seam, seam - level.width;
        END IF;
    END LOOP;
END $$;

-- The bucket of a snapshot exactly on the hour is now the hour before it.
INSERT INTO rollup_marks (machine, bucket, level, claimed)
SELECT DISTINCT s.machine, s.ts - hours.before, 1, false
FROM snapshots s CROSS JOIN (VALUES (interval '0'), (interval '1 hour')) hours(before)
WHERE s.ts = date_bin('1 hour', s.ts, '2000-01-01 00:00:00+00')
    AND s.ts - hours.before >= coalesce((SELECT max(f.floor::timestamptz)
        FROM settings c CROSS JOIN jsonb_each_text(c.value::jsonb) f(relation, floor) WHERE c.key = 'complete_from'),
        '-infinity')
ON CONFLICT DO NOTHING;
