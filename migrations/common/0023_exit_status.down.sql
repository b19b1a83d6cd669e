DROP VIEW history.process_history, process_history, history.processes;
ALTER TABLE processes RESET (fillfactor);
ALTER TABLE processes DROP COLUMN exit_code, DROP COLUMN exit_signal;
CREATE VIEW history.processes AS SELECT * FROM processes;

CREATE VIEW process_history AS
SELECT r.bucket, m.machine_id, m.hostname, p.pid, p.started_at, p.ppid, p.name, p.command_line, p.user_name,
    r.cpu_ms, r.cpu_ms_max, r.elapsed_ms, r.memory_avg, r.memory_ms, r.memory_max, r.threads_max, r.read_bytes,
    r.write_bytes, r.first_ts, r.last_ts, r.machine, r.process, r.bucket_key, r.cpu_us, r.cpu_us_max
FROM process_1h r JOIN processes p ON p.id = r.process JOIN machines m ON m.id = r.machine;
COMMENT ON VIEW process_history IS 'usage of every process in each hour (bucket, bucket + 1 h]';

CREATE VIEW history.process_history AS
SELECT r.bucket, m.machine_id, m.hostname, p.pid, p.started_at, p.ppid, p.name, p.command_line, p.user_name,
    r.cpu_ms, r.cpu_ms_max, r.elapsed_ms, r.memory_avg, r.memory_ms, r.memory_max, r.threads_max, r.read_bytes,
    r.write_bytes, r.first_ts, r.last_ts, r.machine, r.process, r.bucket_key, r.cpu_us, r.cpu_us_max
FROM history.process_1h r JOIN processes p ON p.id = r.process JOIN machines m ON m.id = r.machine;
