-- process_at and process_top refuse a machine that does not exist, and a host name that several machines have.

CREATE FUNCTION machine_key(wanted text) RETURNS integer LANGUAGE plpgsql STABLE AS $$
DECLARE
    key integer;
    ids text[];
BEGIN
    SELECT id INTO key FROM machines WHERE machine_id = wanted;
    IF FOUND THEN
        RETURN key;
    END IF;
    SELECT max(id), array_agg(machine_id ORDER BY machine_id) INTO key, ids FROM machines WHERE hostname = wanted;
    IF key IS NULL THEN
        RAISE EXCEPTION 'no machine has the ID or the host name %', quote_nullable(wanted) USING ERRCODE = 'no_data_found';
    END IF;
    IF cardinality(ids) > 1 THEN
        RAISE EXCEPTION '% machines have the host name %', cardinality(ids), quote_literal(wanted)
            USING ERRCODE = 'too_many_rows', HINT = 'Use the ID of one of them: ' || array_to_string(ids[:5], ', ') || '.';
    END IF;
    RETURN key;
END $$;
COMMENT ON FUNCTION machine_key IS 'key of the machine with an ID or, if there is none, with a host name';

CREATE OR REPLACE FUNCTION process_at(wanted text, at timestamptz) RETURNS TABLE (
    snapshot_ts timestamptz, pid integer, started_at timestamptz, ppid integer, name text, command_line text, user_name text,
    state text, cpu_ms bigint, cpu_usage double precision, memory_usage bigint, threads integer, read_bytes bigint, write_bytes bigint,
    open_files integer, cgroup text
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    m integer := machine_key(wanted);
    s record;
BEGIN
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
