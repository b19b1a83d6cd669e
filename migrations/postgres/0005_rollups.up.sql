-- Rollups of the postgres profile. The server computes a bucket when it has ended, and
-- again after late data arrives. Until then, and while a bucket is marked as dirty, the
-- views aggregate its rows when they are read. So the views are always exact.

-- Dirty buckets, which must be computed. Level 1 is an hour of a machine, in all
-- relations of hours and minutes. Levels 3 and 24 are the buckets computed from these.
-- The job claims a mark before it reads, so that rows written later create a new mark.
CREATE TABLE rollup_marks (
    machine integer NOT NULL,
    bucket  timestamptz NOT NULL,
    level   smallint NOT NULL,
    claimed boolean NOT NULL,
    PRIMARY KEY (machine, bucket, level, claimed)
) WITH (autovacuum_vacuum_scale_factor = 0.02);
COMMENT ON TABLE rollup_marks IS 'buckets whose rollups are out of date';

CREATE TABLE machine_1m_done (
    machine integer NOT NULL, bucket timestamptz NOT NULL,
    samples bigint, interval_ms bigint, cpu_samples bigint,
    cpu_usage_avg double precision, cpu_usage_max double precision,
    load1_avg double precision, load1_max double precision, load5_avg double precision, load15_avg double precision,
    used_ram_avg double precision, used_ram_max bigint, available_ram_min bigint, total_ram bigint,
    used_swap_avg double precision, used_swap_max bigint, total_swap bigint,
    used_disk_avg double precision, used_disk_max bigint, available_disk_min bigint, total_disk bigint,
    process_count_avg double precision, process_count_max integer,
    read_bytes bigint, write_bytes bigint, received_bytes bigint, sent_bytes bigint,
    PRIMARY KEY (machine, bucket)
) PARTITION BY RANGE (bucket);
CREATE TABLE machine_1h_done (LIKE machine_1m_done INCLUDING ALL) PARTITION BY RANGE (bucket);
CREATE TABLE machine_3h_done (LIKE machine_1m_done INCLUDING ALL) PARTITION BY RANGE (bucket);
CREATE TABLE machine_1d_done (LIKE machine_1m_done INCLUDING ALL) PARTITION BY RANGE (bucket);

CREATE TABLE process_1h_done (
    machine integer NOT NULL, bucket timestamptz NOT NULL, process bigint NOT NULL,
    cpu_ms bigint, cpu_ms_max bigint, memory_avg double precision, memory_samples bigint,
    memory_max bigint, threads_max integer, read_bytes bigint, write_bytes bigint,
    first_ts timestamptz, last_ts timestamptz,
    PRIMARY KEY (machine, bucket, process)
) PARTITION BY RANGE (bucket);
CREATE INDEX process_1h_done_by_process ON process_1h_done (process, bucket);
CREATE TABLE process_3h_done (LIKE process_1h_done INCLUDING ALL) PARTITION BY RANGE (bucket);
CREATE TABLE process_1d_done (LIKE process_1h_done INCLUDING ALL) PARTITION BY RANGE (bucket);

-- Aggregates of a machine's rows of [a, b), computed from the series. The functions are
-- plain SQL, which the planner inlines.
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

CREATE VIEW rollup_dirty_1h AS SELECT DISTINCT machine, bucket FROM rollup_marks WHERE level = 1;
CREATE VIEW rollup_dirty_3h AS SELECT DISTINCT machine, date_bin('3 hours', bucket, '2000-01-01 00:00:00+00') AS bucket FROM rollup_marks WHERE level <= 3;
CREATE VIEW rollup_dirty_1d AS SELECT DISTINCT machine, date_bin('1 day', bucket, '2000-01-01 00:00:00+00') AS bucket FROM rollup_marks;

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

-- Mark the rows that were stored before rollups existed.
INSERT INTO rollup_marks SELECT DISTINCT machine, date_bin('1 hour', ts, '2000-01-01 00:00:00+00'), 1, false FROM snapshots;
