-- How processes ended. It is stored in the row of the identity with which the process ended.

ALTER TABLE processes ADD COLUMN exit_code smallint, ADD COLUMN exit_signal smallint;
COMMENT ON COLUMN processes.exit_code IS
    'exit code of a process that ended; null if a signal ended it, or if it is unknown or still runs';
COMMENT ON COLUMN processes.exit_signal IS
    'number of the signal that ended the process; null if it exited, or if it is unknown or still runs';
-- The end of a process updates its row. Room in its page, and no index of the new columns, allow HOT updates.
ALTER TABLE processes SET (fillfactor = 90);

CREATE OR REPLACE VIEW history.processes AS SELECT * FROM processes;

CREATE OR REPLACE VIEW process_history AS
SELECT r.bucket, m.machine_id, m.hostname, p.pid, p.started_at, p.ppid, p.name, p.command_line, p.user_name,
    r.cpu_ms, r.cpu_ms_max, r.elapsed_ms, r.memory_avg, r.memory_ms, r.memory_max, r.threads_max, r.read_bytes,
    r.write_bytes, r.first_ts, r.last_ts, r.machine, r.process, r.bucket_key, r.cpu_us, r.cpu_us_max, p.exit_code,
    p.exit_signal
FROM process_1h r JOIN processes p ON p.id = r.process JOIN machines m ON m.id = r.machine;

CREATE OR REPLACE VIEW history.process_history AS
SELECT r.bucket, m.machine_id, m.hostname, p.pid, p.started_at, p.ppid, p.name, p.command_line, p.user_name,
    r.cpu_ms, r.cpu_ms_max, r.elapsed_ms, r.memory_avg, r.memory_ms, r.memory_max, r.threads_max, r.read_bytes,
    r.write_bytes, r.first_ts, r.last_ts, r.machine, r.process, r.bucket_key, r.cpu_us, r.cpu_us_max, p.exit_code,
    p.exit_signal
FROM history.process_1h r JOIN processes p ON p.id = r.process JOIN machines m ON m.id = r.machine;
