DROP FUNCTION process_top(text, timestamptz, timestamptz);
DROP VIEW process_history;
CREATE VIEW process_history AS
SELECT r.bucket, m.machine_id, m.hostname, p.pid, p.started_at, p.ppid, p.name, p.command_line, p.user_name,
    r.cpu_ms, r.cpu_ms_max, r.memory_avg, r.memory_max, r.threads_max, r.read_bytes, r.write_bytes, r.first_ts, r.last_ts,
    r.machine, r.process
FROM process_1h r JOIN processes p ON p.id = r.process JOIN machines m ON m.id = r.machine;
COMMENT ON VIEW process_history IS 'what every process used, hour by hour';
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
