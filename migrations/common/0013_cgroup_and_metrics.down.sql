DROP FUNCTION history.process_at, process_at;
DROP VIEW history.machines, history.processes, history.snapshots, history.process_samples;
DELETE FROM process_samples WHERE state = 'X';
ALTER TABLE machines DROP COLUMN include, DROP COLUMN omit;
ALTER TABLE snapshots DROP COLUMN cpu_user, DROP COLUMN cpu_nice, DROP COLUMN cpu_system, DROP COLUMN cpu_iowait, DROP COLUMN cpu_irq, DROP COLUMN cpu_steal,
    DROP COLUMN unseen_processes, DROP COLUMN dropped_snapshots, DROP COLUMN clock_jump_ms, DROP COLUMN cores, DROP COLUMN temperatures;
ALTER TABLE process_samples DROP COLUMN open_files;
ALTER TABLE processes DROP COLUMN cgroup;

CREATE VIEW history.machines AS SELECT id, machine_id, hostname, os, platform, kernel, architecture, cpu_model, cpu_count, total_ram, agent_version,
    enabled, polling_interval, config_version, registered_at, last_seen, last_snapshot, tags FROM machines;
CREATE VIEW history.processes AS SELECT * FROM processes;
CREATE VIEW history.snapshots AS SELECT * FROM snapshots;
CREATE VIEW history.process_samples AS SELECT * FROM process_samples;

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

CREATE FUNCTION history.process_at(wanted text, at timestamptz) RETURNS TABLE (
    snapshot_ts timestamptz, pid integer, started_at timestamptz, ppid integer, name text, command_line text, user_name text,
    state text, cpu_ms bigint, cpu_usage double precision, memory_usage bigint, threads integer, read_bytes bigint, write_bytes bigint
) LANGUAGE sql STABLE SECURITY DEFINER AS $$ SELECT * FROM process_at(wanted, at) $$;
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION history.process_at SET search_path = %I, pg_temp', current_schema());
END $$;
