DROP FUNCTION process_window, process_start, state_of_run, snapshot_between, snapshot_valid_at, snapshot_before,
    to_bigint;
DROP VIEW history.machines, history.processes, history.snapshots, history.process_samples;
SELECT set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true);
UPDATE process_samples SET cpu_ms = round(cpu_us / 1000.0) WHERE cpu_us IS NOT NULL;
COMMENT ON COLUMN process_samples.cpu_ms IS NULL;
ALTER TABLE process_samples DROP COLUMN weight_ms, DROP COLUMN memory_mean, DROP COLUMN cpu_us;
DROP DOMAIN milliseconds;
ALTER TABLE snapshots DROP COLUMN buffers_ram, DROP COLUMN cached_ram, DROP COLUMN shared_ram, DROP COLUMN slab_ram;
ALTER TABLE machines DROP COLUMN closed_snapshot;
ALTER TABLE processes DROP COLUMN is_later_identity;
COMMENT ON COLUMN snapshots.interval_ms IS 'interval that cpu_ms and the byte counts cover, in milliseconds';
CREATE VIEW history.machines AS SELECT * FROM machines;
CREATE VIEW history.processes AS SELECT * FROM processes;
CREATE VIEW history.snapshots AS SELECT * FROM snapshots;
CREATE VIEW history.process_samples AS SELECT * FROM process_samples;

CREATE VIEW process_history AS
SELECT r.bucket, m.machine_id, m.hostname, p.pid, p.started_at, p.ppid, p.name, p.command_line, p.user_name,
    r.cpu_ms, r.cpu_ms_max, r.memory_avg, r.memory_max, r.threads_max, r.read_bytes, r.write_bytes, r.first_ts, r.last_ts,
    r.machine, r.process, r.memory_samples
FROM process_1h r JOIN processes p ON p.id = r.process JOIN machines m ON m.id = r.machine;

CREATE VIEW machine_history AS
SELECT r.*, m.machine_id, m.hostname FROM machine_1m r JOIN machines m ON m.id = r.machine;

CREATE OR REPLACE FUNCTION process_top(wanted text, from_ts timestamptz, to_ts timestamptz) RETURNS TABLE (
    pid integer, started_at timestamptz, name text, command_line text, user_name text,
    cpu_ms bigint, memory_avg double precision, memory_max bigint, threads_max integer, read_bytes bigint, write_bytes bigint
) LANGUAGE sql STABLE AS $$
    SELECT i.pid, i.started_at, i.name, i.command_line, i.user_name, t.cpu_ms, t.memory_avg, t.memory_max, t.threads_max, t.read_bytes, t.write_bytes
    FROM (
        SELECT (max(ARRAY[(extract(epoch FROM h.last_ts) * 1000)::bigint, h.process]))[2] AS latest, sum(h.cpu_ms)::bigint AS cpu_ms,
            sum(h.memory_avg * h.memory_samples) / nullif(sum(h.memory_samples), 0)::double precision AS memory_avg, max(h.memory_max) AS memory_max,
            max(h.threads_max) AS threads_max, sum(h.read_bytes)::bigint AS read_bytes, sum(h.write_bytes)::bigint AS write_bytes
        FROM process_history h
        WHERE h.machine = (SELECT machine_key(wanted))
            AND h.bucket >= date_trunc('hour', from_ts, 'UTC') AND h.bucket < to_ts
        GROUP BY h.pid, h.started_at) t
    JOIN processes i ON i.id = t.latest
    ORDER BY t.cpu_ms DESC NULLS LAST, t.memory_max DESC NULLS LAST, t.latest
$$;

CREATE VIEW history.process_history AS
SELECT r.bucket, m.machine_id, m.hostname, p.pid, p.started_at, p.ppid, p.name, p.command_line, p.user_name,
    r.cpu_ms, r.cpu_ms_max, r.memory_avg, r.memory_max, r.threads_max, r.read_bytes, r.write_bytes, r.first_ts, r.last_ts,
    r.machine, r.process, r.memory_samples
FROM history.process_1h r JOIN processes p ON p.id = r.process JOIN machines m ON m.id = r.machine;
CREATE VIEW history.machine_history AS
SELECT r.*, m.machine_id, m.hostname FROM history.machine_1m r JOIN machines m ON m.id = r.machine;

CREATE FUNCTION history.process_top(wanted text, from_ts timestamptz, to_ts timestamptz) RETURNS TABLE (
    pid integer, started_at timestamptz, name text, command_line text, user_name text,
    cpu_ms bigint, memory_avg double precision, memory_max bigint, threads_max integer, read_bytes bigint, write_bytes bigint
) LANGUAGE sql STABLE SECURITY DEFINER AS $$ SELECT * FROM process_top(wanted, from_ts, to_ts) $$;
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION history.process_top SET search_path = %I, pg_temp', current_schema());
END $$;
