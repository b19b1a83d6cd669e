-- More values that agents report: the service or container of a process, open files,
-- CPU time by mode, temperatures, and what a snapshot does not contain.

ALTER TABLE processes ADD COLUMN cgroup text NOT NULL DEFAULT '';
COMMENT ON COLUMN processes.cgroup IS 'path of its control group: the service or container that it belongs to';
COMMENT ON COLUMN processes.identity IS 'hash of ppid, name, command_line, user_name and, where there is one, cgroup';

ALTER TABLE process_samples ADD COLUMN open_files integer;
COMMENT ON COLUMN process_samples.state IS 'one letter as in ps; ''X'' for a process that ended in the interval, with what it spent until then; ''exited'' for one that is gone and spent nothing more';

ALTER TABLE snapshots ADD COLUMN cpu_user double precision, ADD COLUMN cpu_nice double precision, ADD COLUMN cpu_system double precision,
    ADD COLUMN cpu_iowait double precision, ADD COLUMN cpu_irq double precision, ADD COLUMN cpu_steal double precision,
    ADD COLUMN unseen_processes bigint, ADD COLUMN dropped_snapshots bigint, ADD COLUMN clock_jump_ms bigint,
    ADD COLUMN cores smallint[], ADD COLUMN temperatures jsonb;
COMMENT ON COLUMN snapshots.cpu_user IS 'percent of all cores, like the other modes; agents round to a quarter';
COMMENT ON COLUMN snapshots.cores IS 'percent of each core';
COMMENT ON COLUMN snapshots.temperatures IS 'degrees Celsius by sensor';
COMMENT ON COLUMN snapshots.unseen_processes IS 'processes and threads, at most, that began and ended since the snapshot before and are in none';
COMMENT ON COLUMN snapshots.dropped_snapshots IS 'snapshots before this one that the agent took and had to drop';
COMMENT ON COLUMN snapshots.clock_jump_ms IS 'by how much the machine''s clock was set since the snapshot before';

ALTER TABLE machines ADD COLUMN include text[] NOT NULL DEFAULT '{}', ADD COLUMN omit text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN machines.include IS 'names of the only processes that the agent records; * stands for any text, and none for all';
COMMENT ON COLUMN machines.omit IS 'parts of a snapshot that the agent does not collect';

CREATE OR REPLACE VIEW history.machines AS SELECT * FROM machines;
CREATE OR REPLACE VIEW history.processes AS SELECT * FROM processes;
CREATE OR REPLACE VIEW history.snapshots AS SELECT * FROM snapshots;
CREATE OR REPLACE VIEW history.process_samples AS SELECT * FROM process_samples;

DROP FUNCTION history.process_at, process_at;
CREATE FUNCTION process_at(wanted text, at timestamptz) RETURNS TABLE (
    snapshot_ts timestamptz, pid integer, started_at timestamptz, ppid integer, name text, command_line text, user_name text,
    state text, cpu_ms bigint, cpu_usage double precision, memory_usage bigint, threads integer, read_bytes bigint, write_bytes bigint,
    open_files integer, cgroup text
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
        latest.memory_usage, latest.threads, latest.read_bytes, latest.write_bytes, latest.open_files, latest.cgroup
    FROM (
        SELECT DISTINCT ON (p.pid, p.started_at) p.pid, p.started_at, p.ppid, p.name, p.command_line, p.user_name, p.cgroup, x.state,
            CASE WHEN x.ts = s.ts OR x.cpu_ms IS NULL THEN x.cpu_ms ELSE 0 END AS cpu_ms, x.memory_usage, x.threads, x.open_files,
            CASE WHEN x.ts = s.ts OR x.read_bytes IS NULL THEN x.read_bytes ELSE 0 END AS read_bytes,
            CASE WHEN x.ts = s.ts OR x.write_bytes IS NULL THEN x.write_bytes ELSE 0 END AS write_bytes
        FROM process_samples x JOIN processes p ON p.id = x.process
        WHERE x.machine = m AND x.ts >= s.full_ts AND x.ts <= s.ts
        ORDER BY p.pid, p.started_at, x.ts DESC, (x.state = 'exited') NULLS FIRST) latest
    WHERE latest.state IS NULL OR latest.state NOT IN ('exited', 'X')
    ORDER BY latest.pid, latest.started_at;
END $$;
COMMENT ON FUNCTION process_at IS 'every process of a machine (by its id or host name) at an instant';

CREATE FUNCTION history.process_at(wanted text, at timestamptz) RETURNS TABLE (
    snapshot_ts timestamptz, pid integer, started_at timestamptz, ppid integer, name text, command_line text, user_name text,
    state text, cpu_ms bigint, cpu_usage double precision, memory_usage bigint, threads integer, read_bytes bigint, write_bytes bigint,
    open_files integer, cgroup text
) LANGUAGE sql STABLE SECURITY DEFINER AS $$ SELECT * FROM process_at(wanted, at) $$;
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION history.process_at SET search_path = %I, pg_temp', current_schema());
END $$;
