-- The time that each sample accounts for, so that averages can be weighted by it.
--
-- A process without a row in a snapshot kept its values. weight_ms is the time from the process's row before this one
-- to ts: the intervals of the snapshots that left the process out, and that of this one. memory_mean is its mean memory
-- in that time. So the sum of coalesce(memory_mean, memory_usage) * weight_ms over the rows of a process is exact.
-- At the end of an hour and before a gap, the last snapshot gets a row of every process.

-- TimescaleDB compresses integers as differences. Weights have few values and many of them repeat, so a dictionary
-- takes a seventh of the space. It uses one for types that it does not know, such as a domain.
CREATE DOMAIN milliseconds AS integer;

ALTER TABLE process_samples ADD COLUMN weight_ms milliseconds, ADD COLUMN memory_mean bigint;
COMMENT ON COLUMN process_samples.weight_ms IS
    'milliseconds since the previous row or the start of the process, where measured; null in rows of earlier versions';
COMMENT ON COLUMN process_samples.memory_mean IS 'mean of memory_usage in weight_ms; null if it is memory_usage';
COMMENT ON COLUMN snapshots.interval_ms IS
    'interval that cpu_ms and the byte counts cover, in milliseconds; 0 if it is unknown';

ALTER TABLE machines ADD COLUMN closed_snapshot timestamptz;
COMMENT ON COLUMN machines.closed_snapshot IS
    'snapshot that got a row of every process after it was stored, because no further one came in its hour';

-- Processes that had another identity before: those with several rows are found without looking at all.
ALTER TABLE processes ADD COLUMN is_later_identity boolean NOT NULL DEFAULT false;
UPDATE processes p SET is_later_identity = true
WHERE EXISTS (SELECT FROM processes q WHERE q.machine = p.machine AND q.pid = p.pid AND q.id < p.id
    AND q.started_at IS NOT DISTINCT FROM p.started_at);
CREATE INDEX processes_of_several_identities ON processes (machine, last_day) WHERE is_later_identity;
COMMENT ON COLUMN processes.is_later_identity IS
    'whether the process had another identity before, such as its command line before it called exec';

DROP FUNCTION history.process_top, process_top;
DROP VIEW history.machine_history, history.process_history, machine_history, process_history;
DROP VIEW history.machines, history.processes, history.snapshots, history.process_samples;
CREATE VIEW history.machines AS SELECT * FROM machines;
CREATE VIEW history.processes AS SELECT * FROM processes;
CREATE VIEW history.snapshots AS SELECT * FROM snapshots;
CREATE VIEW history.process_samples AS SELECT * FROM process_samples;

-- A sum of bigint is numeric. This converts it without an error: amounts that no machine can reach must not keep the
-- rollups of others from being computed.
CREATE FUNCTION to_bigint(total numeric) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN total > 9223372036854775807 THEN 9223372036854775807 ELSE total::bigint END
$$;
COMMENT ON FUNCTION to_bigint IS 'a sum as bigint, or the largest bigint if it is larger';

-- What each process of a machine used in (a, b], computed from its samples. only_processes limits the result to these
-- processes, unless it is null. With include_start, the window begins with the state at a: the result has processes
-- that ended before the first snapshot, and maxima include the levels at a. Hours do without it: their first snapshot
-- has a row of every process that still runs. If b is a, the result is only the state at a, without usage; its first_ts
-- is the first snapshot after a. It is added to rollups from a on.
--
-- The weight of the first row after a reaches back to the row before, and no row covers the time after the last one.
-- So the levels at both ends are read from their runs, and the time before a is subtracted and the time after the last
-- row is added. An interval is a day at the most, so the run at a begins less than three days before it. These bounds
-- keep the scans from being prepared for chunks or partitions that they never read.
--
-- In PL/pgSQL with a generic plan, because planning this takes about as long as reading half an hour of samples.
CREATE FUNCTION process_window(
    m integer, a timestamptz, b timestamptz, only_processes bigint[], include_start boolean
) RETURNS TABLE (
    process bigint, cpu_ms bigint, cpu_ms_max bigint, elapsed_ms bigint, memory_avg double precision, memory_ms bigint,
    memory_max bigint, threads_max integer, read_bytes bigint, write_bytes bigint,
    first_ts timestamptz, last_ts timestamptz
) LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY WITH bounds AS MATERIALIZED (
        SELECT f.ts AS first_ts, f.full_ts AS first_full, f.interval_ms, l.ts AS last_ts, l.full_ts AS last_full
        -- Snapshots without an interval are not part of the time between those around them.
        FROM (SELECT s.ts, s.full_ts, s.interval_ms FROM snapshots s
                WHERE s.machine = m AND s.ts > a AND s.ts <= CASE WHEN a = b THEN b + interval '1 day' ELSE b END
                    AND s.interval_ms > 0 ORDER BY s.ts LIMIT 1) f
            LEFT JOIN (SELECT s.ts, s.full_ts FROM snapshots s
                WHERE s.machine = m AND s.ts > a AND s.ts <= b AND s.interval_ms > 0 ORDER BY s.ts DESC LIMIT 1) l
                ON true),
    ends AS MATERIALIZED (
        -- The snapshot before the first one, unless there is a gap between them. One without an interval counts if the
        -- interval of the first one begins with it, because it is then not part of that interval.
        SELECT -1 AS sign, s.full_ts AS run, s.ts AS until, d.first_ts AS seen
        FROM bounds d CROSS JOIN LATERAL (
            SELECT i.ts, i.full_ts FROM snapshots i
            WHERE i.machine = m AND i.ts <= a AND i.ts > a - interval '3 days'
                AND i.ts >= least(d.first_full, d.first_ts - d.interval_ms * interval '1.5 ms')
                AND (i.interval_ms > 0 OR i.ts = d.first_full
                    OR i.ts <= d.first_ts - (d.interval_ms - d.interval_ms / 50 - 5) * interval '1 ms')
            ORDER BY i.ts DESC LIMIT 1) s
        WHERE include_start
        UNION ALL
        SELECT 1, last_full, last_ts, last_ts FROM bounds WHERE last_ts IS NOT NULL),
    held AS MATERIALIZED (
        SELECT e.sign, s.ts,
            (sum(s.interval_ms) OVER (PARTITION BY e.sign ORDER BY s.ts DESC) - s.interval_ms)::bigint AS ms
        FROM ends e CROSS JOIN LATERAL (
            SELECT i.ts, i.interval_ms FROM snapshots i
            WHERE i.machine = m AND i.ts >= e.run AND i.ts <= e.until AND i.ts > a - interval '3 days' AND i.ts <= b
            OFFSET 0) s), -- so that only the chunks of this time are read
    levels AS (
        SELECT x.process, e.sign, e.sign * h.ms AS weight_ms, x.memory_usage, x.threads, e.seen,
            -- A process without a row used nothing, if its usage is known at all.
            CASE WHEN x.cpu_ms IS NOT NULL THEN 0 END AS cpu_ms,
            CASE WHEN x.read_bytes IS NOT NULL THEN 0 END AS read_bytes,
            CASE WHEN x.write_bytes IS NOT NULL THEN 0 END AS write_bytes
        FROM ends e
            CROSS JOIN LATERAL (
                SELECT DISTINCT ON (p.pid, p.started_at) s.process, s.ts, s.cpu_ms, s.memory_usage,
                    s.threads, s.read_bytes, s.write_bytes, s.state
                FROM process_samples s
                    CROSS JOIN LATERAL (SELECT i.pid, i.started_at FROM processes i WHERE i.id = s.process OFFSET 0) p
                WHERE s.machine = m AND s.ts >= e.run AND s.ts <= e.until
                    AND s.ts > a - interval '3 days' AND s.ts <= b
                ORDER BY p.pid, p.started_at, s.ts DESC, (s.state = 'exited') NULLS FIRST) x
            JOIN held h ON h.sign = e.sign AND h.ts = x.ts
        WHERE x.state IS NULL OR x.state NOT IN ('exited', 'X')),
    parts AS (
        -- Samples are added up before the levels join them, so that not every row passes through the UNION. Hardly any
        -- row lacks a weight or memory, so those are counted, not the others.
        SELECT s.process, sum(s.cpu_ms) AS cpu_ms, max(s.cpu_ms) AS cpu_ms_max,
            sum(s.weight_ms) AS elapsed_ms, count(*) FILTER (WHERE s.weight_ms IS NULL) AS unweighted,
            sum(s.weight_ms) FILTER (WHERE coalesce(s.memory_mean, s.memory_usage) IS NULL) AS without_memory_ms,
            sum(coalesce(s.memory_mean, s.memory_usage)::double precision * s.weight_ms) AS memory_sum,
            avg(s.memory_usage) FILTER (WHERE s.weight_ms IS NULL AND s.in_full) AS full_memory,
            avg(s.memory_usage) FILTER (WHERE s.weight_ms IS NULL OR s.weight_ms = 0) AS plain_memory,
            max(s.memory_usage) AS memory_max, max(s.threads) AS threads_max,
            sum(s.read_bytes) AS read_bytes, sum(s.write_bytes) AS write_bytes,
            min(s.ts) AS first_ts, max(s.ts) AS last_ts,
            NOT bool_or(s.state IS DISTINCT FROM 'exited') AS is_level,
            NOT bool_or(s.state IS DISTINCT FROM 'exited' OR s.ts > (SELECT d.first_ts FROM bounds d)) AS is_start
        FROM process_samples s
        WHERE s.machine = m AND s.ts > a AND s.ts <= b AND (s.state IS DISTINCT FROM 'exited' OR s.weight_ms > 0)
            AND (only_processes IS NULL OR s.process = ANY(only_processes))
        GROUP BY s.process
        UNION ALL
        SELECT l.process, l.cpu_ms, l.cpu_ms, l.weight_ms, 0, CASE WHEN l.memory_usage IS NULL THEN l.weight_ms END,
            l.memory_usage::double precision * l.weight_ms, NULL,
            l.memory_usage, l.memory_usage, l.threads,
            l.read_bytes, l.write_bytes, l.seen, l.seen, l.weight_ms <= 0, l.sign = -1
        FROM levels l
        WHERE only_processes IS NULL OR l.process = ANY(only_processes))
    -- A process that a snapshot left out used nothing. If all that did so are before the window, that is not added to
    -- what the rows of the window say: they may all be unknown. A row that only says that it is gone says nothing. What a
    -- process used that was gone at the first snapshot is unknown.
    SELECT p.process,
        to_bigint(CASE WHEN NOT bool_and(p.is_level) THEN sum(p.cpu_ms) FILTER (WHERE NOT p.is_level)
            WHEN NOT bool_and(p.is_start) THEN max(p.cpu_ms) END),
        CASE WHEN NOT bool_and(p.is_level) THEN max(p.cpu_ms_max) FILTER (WHERE NOT p.is_level)
            WHEN NOT bool_and(p.is_start) THEN max(p.cpu_ms_max) END,
        CASE WHEN sum(p.unweighted) = 0 THEN greatest(sum(p.elapsed_ms), 0)::bigint END,
        coalesce(
            CASE WHEN sum(p.unweighted) = 0 THEN sum(p.memory_sum)
                / nullif(sum(p.elapsed_ms) - coalesce(sum(p.without_memory_ms), 0), 0)::double precision END,
            avg(p.full_memory)::double precision, avg(p.plain_memory)::double precision),
        CASE WHEN sum(p.unweighted) = 0 AND sum(p.without_memory_ms) <> 0
            THEN (sum(p.elapsed_ms) - sum(p.without_memory_ms))::bigint END,
        max(p.memory_max), max(p.threads_max),
        to_bigint(CASE WHEN NOT bool_and(p.is_level) THEN sum(p.read_bytes) FILTER (WHERE NOT p.is_level)
            WHEN NOT bool_and(p.is_start) THEN max(p.read_bytes) END),
        to_bigint(CASE WHEN NOT bool_and(p.is_level) THEN sum(p.write_bytes) FILTER (WHERE NOT p.is_level)
            WHEN NOT bool_and(p.is_start) THEN max(p.write_bytes) END),
        min(p.first_ts), max(p.last_ts)
    FROM parts p
    GROUP BY p.process;
END $$;
COMMENT ON FUNCTION process_window IS 'usage of each process of a machine in (a, b], from its samples';
