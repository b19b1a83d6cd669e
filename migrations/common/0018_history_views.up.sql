-- The views and functions for readers, over the new rollups.

CREATE VIEW process_history AS
SELECT r.bucket, m.machine_id, m.hostname, p.pid, p.started_at, p.ppid, p.name, p.command_line, p.user_name,
    r.cpu_ms, r.cpu_ms_max, r.elapsed_ms, r.memory_avg, r.memory_ms, r.memory_max, r.threads_max, r.read_bytes,
    r.write_bytes, r.first_ts, r.last_ts, r.machine, r.process, r.bucket_key, r.cpu_us, r.cpu_us_max
FROM process_1h r JOIN processes p ON p.id = r.process JOIN machines m ON m.id = r.machine;
COMMENT ON VIEW process_history IS 'usage of every process in each hour (bucket, bucket + 1 h]';

CREATE VIEW machine_history AS
SELECT r.*, m.machine_id, m.hostname FROM machine_1m r JOIN machines m ON m.id = r.machine;
COMMENT ON VIEW machine_history IS 'system metrics of every machine in each minute (bucket, bucket + 1 min]';

DROP FUNCTION history.process_at, process_at;
CREATE FUNCTION process_at(wanted text, at timestamptz) RETURNS TABLE (
    snapshot_ts timestamptz, pid integer, started_at timestamptz, ppid integer, name text, command_line text,
    user_name text, state text, cpu_ms double precision, cpu_usage double precision, memory_usage bigint,
    threads integer, read_bytes bigint, write_bytes bigint, open_files integer, cgroup text
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    m integer := machine_key(wanted);
    s record;
BEGIN
    SELECT ts, full_ts, interval_ms INTO s FROM snapshots WHERE machine = m AND ts <= at ORDER BY ts DESC LIMIT 1;
    RETURN QUERY
    SELECT s.ts, latest.pid, latest.started_at, latest.ppid, latest.name, latest.command_line, latest.user_name,
        latest.state, latest.cpu_us / 1000::double precision,
        round(latest.cpu_us / (10.0 * nullif(s.interval_ms, 0)), 2)::double precision,
        latest.memory_usage, latest.threads, latest.read_bytes, latest.write_bytes, latest.open_files, latest.cgroup
    FROM (
        SELECT DISTINCT ON (p.pid, p.started_at) p.pid, p.started_at, p.ppid, p.name, p.command_line, p.user_name,
            p.cgroup, x.state, x.memory_usage, x.threads, x.open_files,
            coalesce(x.cpu_us, x.cpu_ms * 1000) * (x.ts = s.ts)::integer AS cpu_us,
            x.read_bytes * (x.ts = s.ts)::integer AS read_bytes,
            x.write_bytes * (x.ts = s.ts)::integer AS write_bytes
        FROM process_samples x JOIN processes p ON p.id = x.process
        WHERE x.machine = m AND x.ts >= s.full_ts AND x.ts <= s.ts
        ORDER BY p.pid, p.started_at, x.ts DESC, (x.state = 'exited') NULLS FIRST) latest
    WHERE latest.state IS NULL OR latest.state NOT IN ('exited', 'X')
    ORDER BY latest.pid, latest.started_at;
END $$;
COMMENT ON FUNCTION process_at IS 'every process of a machine, given by its ID or host name, at an instant';

CREATE FUNCTION process_top(wanted text, from_ts timestamptz, to_ts timestamptz) RETURNS TABLE (
    pid integer, started_at timestamptz, name text, command_line text, user_name text,
    cpu_ms double precision, memory_avg double precision, memory_max bigint, threads_max integer, read_bytes bigint,
    write_bytes bigint
) LANGUAGE sql STABLE AS $$
    WITH target AS MATERIALIZED (
        -- Samples are read if they are all kept: no rollup is older than the machine's first snapshot.
        SELECT k.machine, to_ts - from_ts <= interval '2 hours' AND (from_ts >= f.first OR NOT EXISTS (
            SELECT FROM process_1h r WHERE r.machine = k.machine AND r.bucket_key >= date_trunc('hour', from_ts, 'UTC')
                AND r.bucket_key < f.first - interval '1 hour')) AS is_exact
        FROM (SELECT machine_key(wanted) AS machine) k
            CROSS JOIN LATERAL (SELECT coalesce(min(ts), 'infinity') AS first
                FROM snapshots WHERE machine = k.machine) f),
    used AS (
        SELECT w.process, w.cpu_us, w.elapsed_ms, w.memory_avg, w.memory_ms, w.memory_max, w.threads_max, w.read_bytes,
            w.write_bytes, w.first_ts, w.last_ts
        FROM target t CROSS JOIN LATERAL process_window(t.machine, from_ts, to_ts, NULL, true) w
        WHERE t.is_exact
        UNION ALL
        SELECT r.process, r.cpu_us, r.elapsed_ms, r.memory_avg, r.memory_ms, r.memory_max, r.threads_max, r.read_bytes,
            r.write_bytes, r.first_ts, r.last_ts
        FROM process_1h r
        WHERE r.machine = (SELECT machine FROM target) AND (SELECT is_exact FROM target) IS NOT TRUE
            AND r.bucket_key >= date_trunc('hour', from_ts, 'UTC') AND r.bucket_key < to_ts
        UNION ALL
        SELECT w.process, NULL, 0, w.memory_usage, NULL, w.memory_usage, w.threads, NULL, NULL, w.ts, w.ts
        FROM target t CROSS JOIN LATERAL process_start(t.machine,
            date_trunc('hour', from_ts, 'UTC'), date_trunc('hour', from_ts, 'UTC'),
            date_trunc('hour', to_ts - interval '1 microsecond', 'UTC') + interval '1 hour') w
        WHERE NOT t.is_exact)
    SELECT i.pid, i.started_at, i.name, i.command_line, i.user_name, t.cpu_us / 1000::double precision, t.memory_avg,
        t.memory_max, t.threads_max, t.read_bytes, t.write_bytes
    FROM (
        SELECT (max(ARRAY[(extract(epoch FROM h.last_ts) * 1000)::bigint, h.process]))[2] AS latest,
            to_bigint(sum(h.cpu_us)) AS cpu_us,
            coalesce(sum(h.memory_avg * h.memory_time)
                / nullif(sum(h.memory_time) FILTER (WHERE h.memory_avg IS NOT NULL), 0)::double precision,
                avg(h.memory_avg)) AS memory_avg,
            max(h.memory_max) AS memory_max, max(h.threads_max) AS threads_max,
            to_bigint(sum(h.read_bytes)) AS read_bytes,
            to_bigint(sum(h.write_bytes)) AS write_bytes
        FROM (
            SELECT u.*, p.pid, p.started_at, coalesce(u.memory_ms, u.elapsed_ms,
                (extract(epoch FROM u.last_ts - u.first_ts) * 1000)::bigint + 60000) AS memory_time
            FROM used u JOIN processes p ON p.id = u.process) h
        GROUP BY h.pid, h.started_at) t
    JOIN processes i ON i.id = t.latest
    ORDER BY t.cpu_us DESC NULLS LAST, t.memory_max DESC NULLS LAST, t.latest
$$;
COMMENT ON FUNCTION process_top IS
    'usage of each process of a machine, highest CPU usage first; a window of more than two hours has whole hours';

CREATE VIEW history.process_history AS
SELECT r.bucket, m.machine_id, m.hostname, p.pid, p.started_at, p.ppid, p.name, p.command_line, p.user_name,
    r.cpu_ms, r.cpu_ms_max, r.elapsed_ms, r.memory_avg, r.memory_ms, r.memory_max, r.threads_max, r.read_bytes,
    r.write_bytes, r.first_ts, r.last_ts, r.machine, r.process, r.bucket_key, r.cpu_us, r.cpu_us_max
FROM history.process_1h r JOIN processes p ON p.id = r.process JOIN machines m ON m.id = r.machine;
CREATE VIEW history.machine_history AS
SELECT r.*, m.machine_id, m.hostname FROM history.machine_1m r JOIN machines m ON m.id = r.machine;

CREATE FUNCTION history.process_at(wanted text, at timestamptz) RETURNS TABLE (
    snapshot_ts timestamptz, pid integer, started_at timestamptz, ppid integer, name text, command_line text,
    user_name text, state text, cpu_ms double precision, cpu_usage double precision, memory_usage bigint,
    threads integer, read_bytes bigint, write_bytes bigint, open_files integer, cgroup text
) LANGUAGE sql STABLE SECURITY DEFINER AS $$ SELECT * FROM process_at(wanted, at) $$;
CREATE FUNCTION history.process_top(wanted text, from_ts timestamptz, to_ts timestamptz) RETURNS TABLE (
    pid integer, started_at timestamptz, name text, command_line text, user_name text,
    cpu_ms double precision, memory_avg double precision, memory_max bigint, threads_max integer, read_bytes bigint,
    write_bytes bigint
) LANGUAGE sql STABLE SECURITY DEFINER AS $$ SELECT * FROM process_top(wanted, from_ts, to_ts) $$;
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION history.process_at SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION history.process_top SET search_path = %I, pg_temp', current_schema());
END $$;
