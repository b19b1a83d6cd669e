-- Views for Grafana and psql, with names instead of keys. docs/sql.md has examples.

CREATE VIEW process_history AS
SELECT r.bucket, m.machine_id, m.hostname, p.pid, p.started_at, p.ppid, p.name, p.command_line, p.user_name,
    r.cpu_ms, r.cpu_ms_max, r.memory_avg, r.memory_max, r.threads_max, r.read_bytes, r.write_bytes, r.first_ts, r.last_ts,
    r.machine, r.process
FROM process_1h r JOIN processes p ON p.id = r.process JOIN machines m ON m.id = r.machine;
COMMENT ON VIEW process_history IS 'what every process used, hour by hour';

CREATE VIEW machine_history AS
SELECT r.*, m.machine_id, m.hostname FROM machine_1m r JOIN machines m ON m.id = r.machine;
COMMENT ON VIEW machine_history IS 'the system metrics of every machine, minute by minute';

-- All processes of a machine at a time: the last snapshot at or before that time,
-- reconstructed from the full snapshot of its run. A process without a later row used
-- nothing in the interval, and its gauges are unchanged.
CREATE FUNCTION process_at(wanted text, at timestamptz) RETURNS TABLE (
    snapshot_ts timestamptz, pid integer, started_at timestamptz, ppid integer, name text, command_line text, user_name text,
    state text, cpu_ms bigint, cpu_usage double precision, memory_usage bigint, threads integer, read_bytes bigint, write_bytes bigint
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    m integer;
    s record;
BEGIN
    SELECT id INTO m FROM machines WHERE machine_id = wanted OR hostname = wanted ORDER BY machine_id = wanted DESC LIMIT 1;
    SELECT ts, full_ts, interval_ms INTO s FROM snapshots WHERE machine = m AND ts <= at ORDER BY ts DESC LIMIT 1;
    RETURN QUERY
    SELECT s.ts, latest.pid, latest.started_at, latest.ppid, latest.name, latest.command_line, latest.user_name,
        latest.state, latest.cpu_ms, round((100.0 * latest.cpu_ms / nullif(s.interval_ms, 0))::numeric, 2)::double precision,
        latest.memory_usage, latest.threads, latest.read_bytes, latest.write_bytes
    FROM (
        SELECT DISTINCT ON (p.pid, p.started_at) p.pid, p.started_at, p.ppid, p.name, p.command_line, p.user_name, x.state,
            CASE WHEN x.ts = s.ts OR x.cpu_ms IS NULL THEN x.cpu_ms ELSE 0 END AS cpu_ms, x.memory_usage, x.threads,
            CASE WHEN x.ts = s.ts OR x.read_bytes IS NULL THEN x.read_bytes ELSE 0 END AS read_bytes,
            CASE WHEN x.ts = s.ts OR x.write_bytes IS NULL THEN x.write_bytes ELSE 0 END AS write_bytes
        FROM process_samples x JOIN processes p ON p.id = x.process
        WHERE x.machine = m AND x.ts >= s.full_ts AND x.ts <= s.ts
        ORDER BY p.pid, p.started_at, x.ts DESC, (x.state = 'exited') NULLS FIRST) latest
    WHERE latest.state IS DISTINCT FROM 'exited'
    ORDER BY latest.pid, latest.started_at;
END $$;
COMMENT ON FUNCTION process_at IS 'every process of a machine (by its id or host name) at an instant';

-- What the processes of a machine used in the hours that overlap with a window.
CREATE FUNCTION process_top(wanted text, from_ts timestamptz, to_ts timestamptz) RETURNS TABLE (
    pid integer, started_at timestamptz, name text, command_line text, user_name text,
    cpu_ms bigint, memory_avg double precision, memory_max bigint, threads_max integer, read_bytes bigint, write_bytes bigint
) LANGUAGE sql STABLE AS $$
    SELECT h.pid, h.started_at, min(h.name), min(h.command_line), min(h.user_name), sum(h.cpu_ms)::bigint, avg(h.memory_avg), max(h.memory_max),
        max(h.threads_max), sum(h.read_bytes)::bigint, sum(h.write_bytes)::bigint
    FROM process_history h
    WHERE h.machine = (SELECT id FROM machines WHERE machine_id = wanted OR hostname = wanted ORDER BY machine_id = wanted DESC LIMIT 1)
        AND h.bucket >= date_trunc('hour', from_ts, 'UTC') AND h.bucket < to_ts
    GROUP BY h.pid, h.started_at ORDER BY 6 DESC NULLS LAST
$$;
COMMENT ON FUNCTION process_top IS 'what each process of a machine used in a window of whole hours, the most CPU first';
