-- The remaining views for readers, with the names of the tables.

CREATE VIEW history.machines AS SELECT * FROM machines;
CREATE VIEW history.processes AS SELECT * FROM processes;
CREATE VIEW history.snapshots AS SELECT * FROM snapshots;
CREATE VIEW history.process_samples AS SELECT * FROM process_samples;
CREATE VIEW history.disk_samples AS SELECT * FROM disk_samples;
CREATE VIEW history.net_samples AS SELECT * FROM net_samples;

CREATE VIEW history.process_history AS
SELECT r.bucket, m.machine_id, m.hostname, p.pid, p.started_at, p.ppid, p.name, p.command_line, p.user_name,
    r.cpu_ms, r.cpu_ms_max, r.memory_avg, r.memory_max, r.threads_max, r.read_bytes, r.write_bytes, r.first_ts, r.last_ts,
    r.machine, r.process, r.memory_samples
FROM history.process_1h r JOIN processes p ON p.id = r.process JOIN machines m ON m.id = r.machine;
CREATE VIEW history.machine_history AS
SELECT r.*, m.machine_id, m.hostname FROM history.machine_1m r JOIN machines m ON m.id = r.machine;

CREATE FUNCTION history.process_at(wanted text, at timestamptz) RETURNS TABLE (
    snapshot_ts timestamptz, pid integer, started_at timestamptz, ppid integer, name text, command_line text, user_name text,
    state text, cpu_ms bigint, cpu_usage double precision, memory_usage bigint, threads integer, read_bytes bigint, write_bytes bigint
) LANGUAGE sql STABLE SECURITY DEFINER AS $$ SELECT * FROM process_at(wanted, at) $$;
CREATE FUNCTION history.process_top(wanted text, from_ts timestamptz, to_ts timestamptz) RETURNS TABLE (
    pid integer, started_at timestamptz, name text, command_line text, user_name text,
    cpu_ms bigint, memory_avg double precision, memory_max bigint, threads_max integer, read_bytes bigint, write_bytes bigint
) LANGUAGE sql STABLE SECURITY DEFINER AS $$ SELECT * FROM process_top(wanted, from_ts, to_ts) $$;
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION history.process_at SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION history.process_top SET search_path = %I, pg_temp', current_schema());
END $$;
