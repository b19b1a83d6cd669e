-- The time that each sample accounts for, so that averages can be weighted by it, CPU times in microseconds, and the
-- parts of a machine's memory.
--
-- A process without a row in a snapshot kept its values. weight_ms is the time from the process's row before this one
-- to ts: the intervals of the snapshots that left the process out, and that of this one. memory_mean is its mean memory
-- in that time. So the sum of coalesce(memory_mean, memory_usage) * weight_ms over the rows of a process is exact.
-- At the end of an hour and before a gap, the last snapshot gets a row of every process.

-- TimescaleDB compresses integers as differences. Weights have few values and many of them repeat, so a dictionary
-- takes a seventh of the space. It uses one for types that it does not know, such as a domain.
CREATE DOMAIN milliseconds AS integer;

ALTER TABLE process_samples ADD COLUMN weight_ms milliseconds, ADD COLUMN memory_mean bigint,
    ADD COLUMN cpu_us bigint;
COMMENT ON COLUMN process_samples.cpu_us IS
    'CPU time in microseconds; null in rows of earlier versions, which have cpu_ms';
COMMENT ON COLUMN process_samples.cpu_ms IS
    'CPU time in milliseconds in rows of earlier versions; null if there is cpu_us';
COMMENT ON COLUMN process_samples.weight_ms IS
    'milliseconds since the previous row or the start of the process, where measured; null in rows of earlier versions';
COMMENT ON COLUMN process_samples.memory_mean IS 'mean of memory_usage in weight_ms; null if it is memory_usage';
ALTER TABLE snapshots ADD COLUMN buffers_ram bigint, ADD COLUMN cached_ram bigint, ADD COLUMN shared_ram bigint,
    ADD COLUMN slab_ram bigint;
COMMENT ON COLUMN snapshots.cached_ram IS
    'page cache with tmpfs, shared memory and reclaimable slab, in bytes, as in free';
COMMENT ON COLUMN snapshots.shared_ram IS 'shared memory and tmpfs, in bytes';
COMMENT ON COLUMN snapshots.slab_ram IS 'data structures of the kernel, in bytes';
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
CREATE VIEW history.process_samples AS
SELECT ts, process, coalesce(cpu_us, cpu_ms * 1000) / 1000::double precision AS cpu_ms, memory_usage, read_bytes,
    write_bytes, machine, threads, state, in_full, hour, open_files, weight_ms, memory_mean,
    coalesce(cpu_us, cpu_ms * 1000) AS cpu_us
FROM process_samples;

-- A sum of bigint is numeric. This converts it without an error: amounts that no machine can reach must not keep the
-- rollups of others from being computed.
CREATE FUNCTION to_bigint(total numeric) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN total > 9223372036854775807 THEN 9223372036854775807 ELSE total::bigint END
$$;
COMMENT ON FUNCTION to_bigint IS 'a sum as bigint, or the largest bigint if it is larger';

-- The last snapshot until a, unless there is a gap between it and the first one after a, which the other arguments
-- describe. A snapshot without an interval counts if the interval of the first one begins with it, because it is then
-- not part of that interval.
CREATE FUNCTION snapshot_before(
    m integer, a timestamptz, first_ts timestamptz, first_full timestamptz, first_interval_ms bigint
) RETURNS TABLE (ts timestamptz, full_ts timestamptz, process_count integer) LANGUAGE sql STABLE AS $$
    SELECT i.ts, i.full_ts, i.process_count FROM snapshots i
    WHERE i.machine = m AND i.ts <= a AND i.ts > a - interval '3 days'
        AND i.ts >= least(first_full, first_ts - first_interval_ms * interval '1.5 ms')
        AND (i.interval_ms > 0 OR i.ts = first_full
            OR i.ts <= first_ts - (first_interval_ms - first_interval_ms / 50 - 5) * interval '1 ms')
    ORDER BY i.ts DESC LIMIT 1
$$;
COMMENT ON FUNCTION snapshot_before IS 'last snapshot of a machine until a, unless a gap follows';

-- The last snapshot until a, if a counts as recorded: for two of its intervals and a second.
CREATE FUNCTION snapshot_valid_at(m integer, a timestamptz)
    RETURNS TABLE (ts timestamptz, full_ts timestamptz, process_count integer) LANGUAGE sql STABLE AS $$
    SELECT i.ts, i.full_ts, i.process_count FROM (
        SELECT s.ts, s.full_ts, s.process_count, s.interval_ms FROM snapshots s
        WHERE s.machine = m AND s.ts <= a AND s.ts > a - interval '3 hours' ORDER BY s.ts DESC LIMIT 1) i
    WHERE a <= i.ts + interval '1 second' + 2 * least(interval '1 hour', CASE WHEN i.interval_ms > 0
        THEN i.interval_ms * interval '1 ms'
        ELSE (SELECT k.polling_interval * interval '1 second' FROM machines k WHERE k.id = m) END)
$$;
COMMENT ON FUNCTION snapshot_valid_at IS 'last snapshot of a machine until a, if a counts as recorded';

-- The snapshot with the state at a, for a window (a, b] without a snapshot: the last one before it, unless a gap has
-- begun at a.
CREATE FUNCTION snapshot_between(m integer, a timestamptz, b timestamptz)
    RETURNS TABLE (ts timestamptz, full_ts timestamptz) LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    following record;
BEGIN
    SELECT i.ts, i.full_ts, i.interval_ms INTO following FROM snapshots i
    WHERE i.machine = m AND i.ts > b AND i.ts <= b + interval '1 day' AND i.interval_ms > 0 ORDER BY i.ts LIMIT 1;
    IF FOUND THEN
        RETURN QUERY SELECT i.ts, i.full_ts
        FROM snapshot_before(m, a, following.ts, following.full_ts, following.interval_ms) i;
        IF FOUND THEN
            RETURN;
        END IF;
    END IF;
    RETURN QUERY SELECT i.ts, i.full_ts FROM snapshot_valid_at(m, a) i;
END $$;
COMMENT ON FUNCTION snapshot_between IS 'snapshot that is valid in a window without a snapshot';

-- The state that a run of snapshots [run, until] ends with: the last row of each process that has not ended, and for
-- how long it has been valid. A process without a row used nothing, if its usage is known at all.
CREATE FUNCTION state_of_run(m integer, run timestamptz, until timestamptz) RETURNS TABLE (
    process bigint, held_ms bigint, memory_usage bigint, threads integer, cpu_us bigint, read_bytes bigint,
    write_bytes bigint
) LANGUAGE sql STABLE AS $$
    SELECT x.process, h.ms, x.memory_usage, x.threads, CASE WHEN x.has_cpu THEN 0::bigint END,
        CASE WHEN x.read_bytes IS NOT NULL THEN 0::bigint END, CASE WHEN x.write_bytes IS NOT NULL THEN 0::bigint END
    FROM (
        SELECT DISTINCT ON (p.pid, p.started_at) s.process, s.ts, coalesce(s.cpu_us, s.cpu_ms) IS NOT NULL AS has_cpu,
            s.memory_usage, s.threads, s.read_bytes, s.write_bytes, s.state
        FROM process_samples s
            CROSS JOIN LATERAL (SELECT i.pid, i.started_at FROM processes i WHERE i.id = s.process OFFSET 0) p
        WHERE s.machine = m AND s.ts >= run AND s.ts <= until
        ORDER BY p.pid, p.started_at, s.ts DESC, (s.state = 'exited') NULLS FIRST) x
    JOIN (
        SELECT s.ts, (sum(s.interval_ms) OVER (ORDER BY s.ts DESC) - s.interval_ms)::bigint AS ms
        FROM snapshots s WHERE s.machine = m AND s.ts >= run AND s.ts <= until) h ON h.ts = x.ts
    WHERE x.state IS NULL OR x.state NOT IN ('exited', 'X')
$$;
COMMENT ON FUNCTION state_of_run IS 'processes at the end of a run of snapshots, and since when their values are valid';

-- The state at the start a of an hour: the processes in the last snapshot of the hour before, which has a row of each.
-- A window of whole hours begins with it. ts is that snapshot. The window (since, until] has no such state if the
-- snapshot is in it, or if a gap has begun at a. An interval is a day at the most.
CREATE FUNCTION process_start(m integer, a timestamptz, since timestamptz, until timestamptz) RETURNS TABLE (
    process bigint, memory_usage bigint, threads integer, ts timestamptz
) LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    before timestamptz; -- a variable, so that TimescaleDB compares it while it decompresses
    run timestamptz;
    processes integer;
    found bigint;
BEGIN
    SELECT b.ts, b.full_ts, b.process_count INTO before, run, processes
    FROM (SELECT i.ts, i.full_ts, i.interval_ms FROM snapshots i
            WHERE i.machine = m AND i.ts > a AND i.ts <= a + interval '1 day'
                AND i.interval_ms > 0 ORDER BY i.ts LIMIT 1) f
        CROSS JOIN LATERAL snapshot_before(m, a, f.ts, f.full_ts, f.interval_ms) b
    WHERE b.ts <= since;
    IF before IS NULL THEN
        SELECT b.ts, b.full_ts, b.process_count INTO before, run, processes FROM snapshot_valid_at(m, a) b
        WHERE b.ts <= since;
    END IF;
    RETURN QUERY SELECT s.process, s.memory_usage, s.threads, before FROM process_samples s
    WHERE s.machine = m AND s.ts = before AND (s.state IS NULL OR s.state NOT IN ('exited', 'X'));
    GET DIAGNOSTICS found = ROW_COUNT;
    -- The last snapshot of an hour that an earlier version wrote does not have a row of every process.
    IF found < processes THEN
        RETURN QUERY SELECT s.process, s.memory_usage, s.threads, before FROM state_of_run(m, run, before) s
        WHERE s.held_ms > 0 OR s.process NOT IN (SELECT i.process FROM process_samples i
            WHERE i.machine = m AND i.ts = before AND (i.state IS NULL OR i.state NOT IN ('exited', 'X')));
    END IF;
END $$;
COMMENT ON FUNCTION process_start IS 'processes of a machine at the start of an hour';

-- What each process of a machine used in (a, b], computed from its samples. only_processes limits the result to these
-- processes, unless it is null. With include_start, the window begins with the state at a: the result has processes
-- that ended before the first snapshot, and maxima include the levels at a. Hours do without it: their first snapshot
-- has a row of every process that still runs.
--
-- The weight of the first row after a reaches back to the row before, and no row covers the time after the last one.
-- So the levels at both ends are read from their runs, and the time before a is subtracted and the time after the last
-- row is added. A window between two snapshots has the processes at its start, with unknown usage.
--
-- In PL/pgSQL with a generic plan, because planning this takes about as long as reading half an hour of samples. The
-- bounds of the runs are variables: TimescaleDB then compares them while it decompresses, and neither profile prepares
-- the chunks or partitions of other times.
CREATE FUNCTION process_window(
    m integer, a timestamptz, b timestamptz, only_processes bigint[], include_start boolean
) RETURNS TABLE (
    process bigint, cpu_us bigint, cpu_us_max bigint, elapsed_ms bigint, memory_avg double precision, memory_ms bigint,
    memory_max bigint, threads_max integer, read_bytes bigint, write_bytes bigint,
    first_ts timestamptz, last_ts timestamptz
) LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    first_snapshot timestamptz;
    first_full timestamptz;
    first_interval_ms bigint;
    last_snapshot timestamptz;
    last_full timestamptz;
    start_snapshot timestamptz;
    start_full timestamptz;
    gap_follows boolean := false;
BEGIN
    -- Snapshots without an interval are not part of the time between those around them.
    SELECT s.ts, s.full_ts, s.interval_ms INTO first_snapshot, first_full, first_interval_ms FROM snapshots s
    WHERE s.machine = m AND s.ts > a AND s.ts <= b AND s.interval_ms > 0 ORDER BY s.ts LIMIT 1;
    SELECT s.ts, s.full_ts INTO last_snapshot, last_full FROM snapshots s
    WHERE s.machine = m AND s.ts > a AND s.ts <= b AND s.interval_ms > 0 ORDER BY s.ts DESC LIMIT 1;
    IF first_snapshot IS NULL AND include_start AND a < b
        AND NOT EXISTS (SELECT FROM snapshots s WHERE s.machine = m AND s.ts > a AND s.ts <= b) THEN
        RETURN QUERY SELECT s.process, NULL::bigint, NULL::bigint, 0::bigint, s.memory_usage::double precision,
            NULL::bigint, s.memory_usage, s.threads, NULL::bigint, NULL::bigint, i.ts, i.ts
        FROM snapshot_between(m, a, b) i CROSS JOIN LATERAL state_of_run(m, i.full_ts, i.ts) s
        WHERE only_processes IS NULL OR s.process = ANY(only_processes);
        RETURN;
    END IF;
    IF include_start THEN
        SELECT s.ts, s.full_ts INTO start_snapshot, start_full
        FROM snapshot_before(m, a, first_snapshot, first_full, first_interval_ms) s;
        -- If a gap follows, its state is the first one of the window, but is valid for no known time.
        IF start_snapshot IS NULL AND a < b THEN
            SELECT s.ts, s.full_ts, true INTO start_snapshot, start_full, gap_follows FROM snapshot_valid_at(m, a) s;
        END IF;
    END IF;
    RETURN QUERY WITH levels AS (
        SELECT -1 AS sign, first_snapshot AS seen, s.process,
            CASE WHEN gap_follows THEN 0 ELSE s.held_ms END AS held_ms, s.memory_usage, s.threads, s.cpu_us,
            s.read_bytes, s.write_bytes
        FROM state_of_run(m, start_full, start_snapshot) s
        UNION ALL
        SELECT 1, last_snapshot, s.* FROM state_of_run(m, last_full, last_snapshot) s),
    parts AS (
        -- Samples are added up before the levels join them, so that not every row passes through the UNION. Hardly any
        -- row lacks a weight or memory, so those are counted, not the others.
        SELECT s.process, sum(coalesce(s.cpu_us, s.cpu_ms * 1000)) AS cpu_us,
            max(coalesce(s.cpu_us, s.cpu_ms * 1000)) AS cpu_us_max,
            sum(s.weight_ms) AS elapsed_ms, count(*) FILTER (WHERE s.weight_ms IS NULL) AS unweighted,
            sum(s.weight_ms) FILTER (WHERE coalesce(s.memory_mean, s.memory_usage) IS NULL) AS without_memory_ms,
            sum(coalesce(s.memory_mean, s.memory_usage)::double precision * s.weight_ms) AS memory_sum,
            avg(s.memory_usage) FILTER (WHERE s.weight_ms IS NULL AND s.in_full) AS full_memory,
            avg(s.memory_usage) FILTER (WHERE s.weight_ms IS NULL OR s.weight_ms = 0) AS plain_memory,
            max(s.memory_usage) AS memory_max, max(s.threads) AS threads_max,
            sum(s.read_bytes) AS read_bytes, sum(s.write_bytes) AS write_bytes,
            min(s.ts) AS first_ts, max(s.ts) AS last_ts,
            0 AS sign, NOT bool_or(s.state IS DISTINCT FROM 'exited') AS is_level,
            NOT bool_or(s.state IS DISTINCT FROM 'exited') AND max(s.ts) <= first_snapshot AS is_start
        FROM process_samples s
        WHERE s.machine = m AND s.ts > a AND s.ts <= b AND (s.state IS DISTINCT FROM 'exited' OR s.weight_ms > 0)
            AND (only_processes IS NULL OR s.process = ANY(only_processes))
        GROUP BY s.process
        UNION ALL
        SELECT l.process, l.cpu_us, l.cpu_us, l.sign * l.held_ms, 0,
            CASE WHEN l.memory_usage IS NULL THEN l.sign * l.held_ms END,
            l.memory_usage::double precision * l.sign * l.held_ms, NULL,
            l.memory_usage, l.memory_usage, l.threads,
            l.read_bytes, l.write_bytes, l.seen, l.seen, l.sign, l.sign * l.held_ms <= 0, l.sign = -1
        FROM levels l
        WHERE only_processes IS NULL OR l.process = ANY(only_processes))
    -- A process that a snapshot left out used nothing. If all that did so are before the window, that is not added to
    -- what the rows of the window say: they may all be unknown. A row that only says that it is gone says nothing. What
    -- a process used that was gone at the first snapshot is unknown, and its only sample is the one before the window.
    SELECT p.process,
        to_bigint(CASE WHEN NOT bool_and(p.is_level) THEN sum(p.cpu_us) FILTER (WHERE NOT p.is_level)
            WHEN NOT bool_and(p.is_start) THEN max(p.cpu_us) END),
        CASE WHEN NOT bool_and(p.is_level) THEN max(p.cpu_us_max) FILTER (WHERE NOT p.is_level)
            WHEN NOT bool_and(p.is_start) THEN max(p.cpu_us_max) END,
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
        CASE WHEN bool_and(p.is_start) AND start_snapshot IS NOT NULL THEN start_snapshot ELSE min(p.first_ts) END,
        CASE WHEN bool_and(p.is_start) AND start_snapshot IS NOT NULL THEN start_snapshot ELSE max(p.last_ts) END
    FROM parts p
    GROUP BY p.process;
END $$;
COMMENT ON FUNCTION process_window IS 'usage of each process of a machine in (a, b], from its samples';
