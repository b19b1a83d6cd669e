DROP FUNCTION history.process_top, process_top;
DROP VIEW history.machine_history, history.process_history, machine_history, process_history;

DROP FUNCTION history.process_at, process_at;
CREATE FUNCTION process_at(wanted text, at timestamptz) RETURNS TABLE (
    snapshot_ts timestamptz, pid integer, started_at timestamptz, ppid integer, name text, command_line text,
    user_name text, state text, cpu_ms bigint, cpu_usage double precision, memory_usage bigint,
    threads integer, read_bytes bigint, write_bytes bigint, open_files integer, cgroup text
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    m integer := machine_key(wanted);
    s record;
BEGIN
    SELECT ts, full_ts, interval_ms INTO s FROM snapshots WHERE machine = m AND ts <= at ORDER BY ts DESC LIMIT 1;
    RETURN QUERY
    SELECT s.ts, latest.pid, latest.started_at, latest.ppid, latest.name, latest.command_line, latest.user_name,
        latest.state, latest.cpu_ms,
        round(100.0 * latest.cpu_ms / nullif(s.interval_ms, 0), 2)::double precision,
        latest.memory_usage, latest.threads, latest.read_bytes, latest.write_bytes, latest.open_files, latest.cgroup
    FROM (
        SELECT DISTINCT ON (p.pid, p.started_at) p.pid, p.started_at, p.ppid, p.name, p.command_line, p.user_name,
            p.cgroup, x.state, x.memory_usage, x.threads, x.open_files,
            x.cpu_ms * (x.ts = s.ts)::integer AS cpu_ms,
            x.read_bytes * (x.ts = s.ts)::integer AS read_bytes,
            x.write_bytes * (x.ts = s.ts)::integer AS write_bytes
        FROM process_samples x JOIN processes p ON p.id = x.process
        WHERE x.machine = m AND x.ts >= s.full_ts AND x.ts <= s.ts
        ORDER BY p.pid, p.started_at, x.ts DESC, (x.state = 'exited') NULLS FIRST) latest
    WHERE latest.state IS NULL OR latest.state NOT IN ('exited', 'X')
    ORDER BY latest.pid, latest.started_at;
END $$;
COMMENT ON FUNCTION process_at IS 'every process of a machine, given by its ID or host name, at an instant';

CREATE FUNCTION history.process_at(wanted text, at timestamptz) RETURNS TABLE (
    snapshot_ts timestamptz, pid integer, started_at timestamptz, ppid integer, name text, command_line text,
    user_name text, state text, cpu_ms bigint, cpu_usage double precision, memory_usage bigint,
    threads integer, read_bytes bigint, write_bytes bigint, open_files integer, cgroup text
) LANGUAGE sql STABLE SECURITY DEFINER AS $$ SELECT * FROM process_at(wanted, at) $$;
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION history.process_at SET search_path = %I, pg_temp', current_schema());
END $$;
