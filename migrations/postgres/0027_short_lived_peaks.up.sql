-- The largest values of short-lived processes that are stored near each other, to find the largest ones of a window.

CREATE VIEW short_lived_peaks AS
    SELECT machine, ts AS key, first_ts, ts AS last_ts, cpu_us_max AS cpu_us, memory_max FROM short_lived_batches;
COMMENT ON VIEW short_lived_peaks IS
    'largest values of groups of short-lived processes, which are the batches in the postgres profile. Those of (a, b]
have key > a - 1 min and key <= b + 1 h';

-- The view short_lived for conditions on one column. It unpacks only that column's array for the rows that do not match.
CREATE VIEW short_lived_by_cpu_us AS
    SELECT b.ts - coalesce(b.at_ms[e.i], 0) * interval '1 ms' AS ts, b.machine, b.command[e.i] AS command,
        b.owner[e.i] AS owner, b.pid[e.i] AS pid, b.ppid[e.i] AS ppid,
        b.ts - (coalesce(b.at_ms[e.i], 0) + b.age_ms[e.i]) * interval '1 ms' AS started_at,
        b.ts - (coalesce(b.at_ms[e.i], 0) + b.age_ms[e.i] - b.lived_ms[e.i]) * interval '1 ms' AS ended_at,
        b.age_ms[e.i] AS elapsed_ms, e.cpu_us AS cpu_us, b.memory[e.i] AS memory_max, b.read_bytes[e.i] AS read_bytes,
        b.write_bytes[e.i] AS write_bytes, CASE WHEN b.exit[e.i] >= 0 THEN b.exit[e.i] END AS exit_code,
        CASE WHEN b.exit[e.i] < 0 THEN -b.exit[e.i] END AS exit_signal, b.vars[e.i] AS vars, b.ts AS batch_ts,
        b.first_ts AS batch_first_ts, b.cpu_us_max AS cpu_us_bound, b.memory_max / 4096 AS memory_pages_bound,
        b.command AS commands
    FROM short_lived_batches b CROSS JOIN LATERAL unnest(b.cpu_us) WITH ORDINALITY e(cpu_us, i);
CREATE VIEW short_lived_by_memory_max AS
    SELECT b.ts - coalesce(b.at_ms[e.i], 0) * interval '1 ms' AS ts, b.machine, b.command[e.i] AS command,
        b.owner[e.i] AS owner, b.pid[e.i] AS pid, b.ppid[e.i] AS ppid,
        b.ts - (coalesce(b.at_ms[e.i], 0) + b.age_ms[e.i]) * interval '1 ms' AS started_at,
        b.ts - (coalesce(b.at_ms[e.i], 0) + b.age_ms[e.i] - b.lived_ms[e.i]) * interval '1 ms' AS ended_at,
        b.age_ms[e.i] AS elapsed_ms, b.cpu_us[e.i] AS cpu_us, e.memory AS memory_max, b.read_bytes[e.i] AS read_bytes,
        b.write_bytes[e.i] AS write_bytes, CASE WHEN b.exit[e.i] >= 0 THEN b.exit[e.i] END AS exit_code,
        CASE WHEN b.exit[e.i] < 0 THEN -b.exit[e.i] END AS exit_signal, b.vars[e.i] AS vars, b.ts AS batch_ts,
        b.first_ts AS batch_first_ts, b.cpu_us_max AS cpu_us_bound, b.memory_max / 4096 AS memory_pages_bound,
        b.command AS commands
    FROM short_lived_batches b CROSS JOIN LATERAL unnest(b.memory) WITH ORDINALITY e(memory, i);
COMMENT ON VIEW short_lived_by_cpu_us IS
    'short_lived without rows whose cpu_us is unknown, for conditions that few rows of each batch meet';
COMMENT ON VIEW short_lived_by_memory_max IS 'the same for memory_max';

-- The sums for readers, who have no access to the tables. These functions have the privileges of their owner.
CREATE FUNCTION history.short_lived_hour(m integer, a timestamptz)
    RETURNS SETOF short_lived_1h_done LANGUAGE sql STABLE SECURITY DEFINER
    AS $$ SELECT * FROM short_lived_hour(m, a) $$;
CREATE FUNCTION history.short_lived_merge(m integer, a timestamptz, width interval)
    RETURNS SETOF short_lived_1h_done LANGUAGE sql STABLE SECURITY DEFINER
    AS $$ SELECT * FROM short_lived_merge(m, a, width) $$;
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION history.short_lived_hour SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION history.short_lived_merge SET search_path = %I, pg_temp', current_schema());
END $$;

CREATE VIEW history.short_lived_1m AS SELECT * FROM short_lived_1m;
CREATE VIEW history.short_lived_1h AS
    SELECT *, bucket AS bucket_key FROM short_lived_1h_done d
    WHERE NOT EXISTS (SELECT FROM rollup_dirty_1h k WHERE k.machine = d.machine AND k.bucket = d.bucket)
    UNION ALL
    SELECT h.*, h.bucket FROM rollup_dirty_1h k CROSS JOIN LATERAL history.short_lived_hour(k.machine, k.bucket) h
    WHERE h.machine = k.machine;
CREATE VIEW history.short_lived_1d AS
    SELECT *, bucket AS bucket_key FROM short_lived_1d_done d
    WHERE NOT EXISTS (SELECT FROM rollup_dirty_1d k WHERE k.machine = d.machine AND k.bucket = d.bucket)
    UNION ALL
    SELECT h.*, h.bucket FROM rollup_dirty_1d k CROSS JOIN LATERAL
        history.short_lived_merge(k.machine, k.bucket, '24 hours') h
    WHERE h.machine = k.machine;
