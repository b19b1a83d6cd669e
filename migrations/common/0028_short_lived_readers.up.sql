-- How queries read short-lived processes.

-- What both profiles have.
COMMENT ON VIEW short_lived IS
    'short-lived processes, one row each: they started and ended between two snapshots. Filter it by machine, and by
batch_ts and batch_first_ts in addition to ts: rows with ts in (a, b] have batch_ts > a, batch_first_ts <= b and
batch_ts <= b + 1 h';
COMMENT ON COLUMN short_lived.ts IS 'the snapshot after the end of the process, with which it was reported';
COMMENT ON COLUMN short_lived.command IS 'name and command line: commands.id';
COMMENT ON COLUMN short_lived.owner IS 'user and control group: owners.id';
COMMENT ON COLUMN short_lived.elapsed_ms IS 'milliseconds from the start to ts, as weight_ms of process_samples';
COMMENT ON COLUMN short_lived.cpu_us IS
    'CPU time in microseconds; null if it is unknown, as in the other columns';
COMMENT ON COLUMN short_lived.memory_max IS 'largest memory in bytes';
COMMENT ON COLUMN short_lived.exit_code IS 'exit code; null if a signal ended the process, or if it is unknown';
COMMENT ON COLUMN short_lived.exit_signal IS 'number of the signal that ended the process; null if it exited';
COMMENT ON COLUMN short_lived.vars IS
    'parts of the command line that vary, separated by spaces; null if it has none: see commands.command_line';
COMMENT ON COLUMN short_lived.batch_ts IS
    'last ts of the rows that are stored together, in the same hour (h, h + 1 h]; a condition on it skips others';
COMMENT ON COLUMN short_lived.batch_first_ts IS 'first ts of the rows that are stored together';
COMMENT ON COLUMN short_lived.cpu_us_bound IS
    'at least the cpu_us of each row that is stored together; a condition cpu_us_bound >= x skips others';
COMMENT ON COLUMN short_lived.memory_pages_bound IS 'the same for memory_max / 4096, rounded down';
COMMENT ON COLUMN short_lived.commands IS
    'command of each row that is stored together; in the postgres profile, commands && x uses an index';
COMMENT ON TABLE short_lived_minutes IS
    'sums of short-lived processes by minute, name and owner; the writer updates them with each snapshot';
COMMENT ON COLUMN short_lived_minutes.ts IS
    '1 ms after the start of the minute (start, start + 1 min], so that it is in the same hour and day';
COMMENT ON COLUMN short_lived_minutes.failed IS
    'processes with an exit code other than 0, and those that a signal ended';
COMMENT ON COLUMN short_lived_minutes.cpu_us IS 'CPU time in microseconds; null if that of all processes is unknown';
COMMENT ON COLUMN short_lived_minutes.cpu_us_max IS 'largest CPU time of a process';
COMMENT ON COLUMN short_lived_minutes.elapsed_ms IS 'sum of short_lived.elapsed_ms';
COMMENT ON COLUMN short_lived_minutes.longest_ms IS 'largest elapsed_ms of a process';
COMMENT ON COLUMN short_lived_minutes.memory_sum IS
    'sum of memory_max * elapsed_ms; divide it by memory_ms for the mean memory weighted by time';
COMMENT ON COLUMN short_lived_minutes.memory_ms IS 'sum of elapsed_ms of the processes whose memory is known';
COMMENT ON COLUMN short_lived_minutes.memory_max IS 'largest memory of a process in bytes';
COMMENT ON COLUMN short_lived_minutes.unknown_cpu IS 'processes whose CPU time is unknown';
COMMENT ON COLUMN short_lived_minutes.unknown_io IS 'processes whose bytes read or written are unknown';
COMMENT ON COLUMN short_lived_minutes.first_ts IS 'first snapshot with one of the processes';
COMMENT ON VIEW short_lived_1m IS
    'sums of short-lived processes by minute (bucket, bucket + 1 min], name and owner; filter it by bucket_key';
COMMENT ON VIEW short_lived_1h IS 'the same by hour; kept as long as process_3h';
COMMENT ON VIEW short_lived_1d IS 'the same by day';

-- The processes with the largest cpu_us or memory_max in (a, b]. If n groups lie in the window, the n-th largest of
-- their largest values is a lower bound for all processes of the result, and only rows that reach it are sorted. The
-- statements contain the values, because TimescaleDB then excludes chunks and compares compressed columns directly.
-- Sums outlive the rows, so the window begins where rows were dropped: the largest values of dropped ones are no lower
-- bound for those that are left.
CREATE FUNCTION short_lived_top(machines integer[], a timestamptz, b timestamptz, n bigint, by_column text)
RETURNS SETOF short_lived LANGUAGE plpgsql STABLE SET datestyle = 'ISO, MDY' SET timezone = 'UTC' AS $$
DECLARE
    scope text := CASE WHEN machines IS NULL THEN 'machine IN (SELECT id FROM machines)'
        WHEN cardinality(machines) = 1 THEN format('machine = %s', machines[1])
        ELSE format('machine = ANY(%L::integer[])', machines) END;
    bound bigint;
    source text;
    reaches_bound text;
BEGIN
    IF by_column NOT IN ('cpu_us', 'memory_max') THEN
        RAISE EXCEPTION 'short_lived_top cannot sort by %', by_column USING ERRCODE = 'invalid_parameter_value';
    END IF;
    a := greatest(a, (SELECT (value::jsonb ->> 'short_lived')::timestamptz FROM settings WHERE key = 'complete_from'));
    -- Minutes have a group for each name and owner, so there are n of them in shorter windows.
    FOREACH source IN ARRAY ARRAY['SELECT machine, key, first_ts, last_ts, cpu_us, memory_max FROM short_lived_peaks',
        'SELECT machine, ts AS key, first_ts, last_ts, cpu_us_max AS cpu_us, memory_max FROM short_lived_minutes'] LOOP
        EXECUTE format('SELECT min(v) FROM (
                SELECT %1$I AS v FROM (%2$s) g WHERE %3$s AND key > %4$L::timestamptz - interval ''1 minute''
                    AND key <= %5$L::timestamptz + interval ''1 hour'' AND first_ts > %4$L AND last_ts <= %5$L
                    AND %1$I IS NOT NULL
                ORDER BY v DESC LIMIT %6$s) x HAVING count(*) = %6$s',
            by_column, source, scope, a, b, n) INTO bound;
        EXIT WHEN bound IS NOT NULL;
    END LOOP;
    reaches_bound := CASE WHEN bound IS NULL THEN 'true'
        WHEN by_column = 'cpu_us' THEN format('cpu_us_bound >= %1$s AND cpu_us >= %1$s', bound)
        ELSE format('memory_pages_bound >= %s AND memory_max >= %s', bound / 4096, bound) END;
    RETURN QUERY EXECUTE format('SELECT ts, machine, command, owner, pid, ppid, started_at, elapsed_ms,
            cpu_us, memory_max, read_bytes, write_bytes, exit_code, exit_signal, vars, batch_ts, batch_first_ts,
            cpu_us_bound, memory_pages_bound, commands
        FROM short_lived
        WHERE %1$s AND ts > %2$L AND ts <= %3$L AND batch_ts > %2$L AND batch_first_ts <= %3$L
            AND batch_ts <= %3$L::timestamptz + interval ''1 hour'' AND %4$s
        ORDER BY %5$I DESC NULLS LAST, memory_max DESC NULLS LAST, ts, pid LIMIT %6$s',
        scope, a, b, reaches_bound, by_column, n);
END $$;
COMMENT ON FUNCTION short_lived_top IS
    'short-lived processes of machines, or of all for null, with the largest cpu_us or memory_max in (a, b]';

-- Short-lived processes with their texts.
CREATE VIEW short_lived_history AS
SELECT s.ts, m.machine_id, m.hostname, s.pid, s.started_at, s.ppid, c.name,
    CASE WHEN c.has_vars THEN format(c.command_line, VARIADIC string_to_array(s.vars, ' '))
        ELSE c.command_line END AS command_line,
    o.user_name, o.cgroup, s.elapsed_ms, s.cpu_us, s.cpu_us / 1000::double precision AS cpu_ms, s.memory_max,
    s.read_bytes, s.write_bytes, s.exit_code, s.exit_signal, s.machine, s.command, s.owner, s.batch_ts,
    s.batch_first_ts, s.cpu_us_bound, s.commands
FROM short_lived s JOIN machines m ON m.id = s.machine JOIN commands c ON c.id = s.command
    JOIN owners o ON o.id = s.owner;
COMMENT ON VIEW short_lived_history IS
    'processes that started and ended between two snapshots; filter it by machine and batch_ts';
CREATE VIEW history.short_lived_history AS SELECT * FROM short_lived_history;
CREATE VIEW history.short_lived AS SELECT * FROM short_lived_history;
CREATE VIEW history.owners AS SELECT * FROM owners;

-- All processes of a name: a row for each that is in process lists, and sums of the short-lived ones. Readers have
-- views of their own, because those of rollups call functions that they may not call.
DO $$
DECLARE
    schema text;
    level text;
    sums text;
    bucket text;
BEGIN
    FOREACH schema IN ARRAY ARRAY[current_schema(), 'history'] LOOP
        FOREACH level IN ARRAY ARRAY['1h', '3h', '1d'] LOOP
            sums := CASE level WHEN '3h' THEN '1h' ELSE level END; -- there are none of three hours
            bucket := CASE level WHEN '3h' THEN $sql$date_bin('3 hours', s.bucket, '2000-01-01 00:00:00+00')$sql$
                ELSE 's.bucket' END;
            EXECUTE format('CREATE VIEW %1$I.name_%2$s AS
                SELECT r.machine, r.bucket, r.bucket_key, p.name, p.pid, p.started_at, 0::bigint AS short_lived,
                    r.cpu_us, r.cpu_us_max, r.elapsed_ms, r.elapsed_ms AS longest_ms, r.memory_avg,
                    coalesce(r.memory_ms, r.elapsed_ms) AS memory_ms, r.memory_max, r.threads_max, r.read_bytes,
                    r.write_bytes
                FROM %1$I.process_%2$s r JOIN processes p ON p.id = r.process
                UNION ALL
                SELECT s.machine, %4$s, s.bucket_key, s.name, NULL, NULL, s.processes, s.cpu_us, s.cpu_us_max,
                    s.elapsed_ms, s.longest_ms, s.memory_sum / nullif(s.memory_ms, 0)::double precision, s.memory_ms,
                    s.memory_max, NULL, s.read_bytes, s.write_bytes
                FROM %1$I.short_lived_%3$s s', schema, level, sums, bucket);
        END LOOP;
    END LOOP;
END $$;
COMMENT ON VIEW name_1h IS 'usage by hour and name: a row for each process of process_1h, and sums of short-lived ones';
COMMENT ON VIEW name_3h IS 'the same by three hours; bucket_key of short-lived ones is that of the hour';
COMMENT ON VIEW name_1d IS 'the same by day';
COMMENT ON COLUMN name_1h.short_lived IS
    'number of short-lived processes in the row, which then has no pid; 0 if the row is of one process';
COMMENT ON COLUMN name_1h.longest_ms IS 'the largest elapsed_ms of a process';
COMMENT ON COLUMN name_1h.memory_ms IS 'time that memory_avg covers';

-- process_top adds the short-lived processes with the highest usage.
ALTER FUNCTION process_top RENAME TO process_top_of_lists;
COMMENT ON FUNCTION process_top_of_lists IS 'process_top without short-lived processes';
CREATE FUNCTION process_top(wanted text, from_ts timestamptz, to_ts timestamptz) RETURNS TABLE (
    pid integer, started_at timestamptz, name text, command_line text, user_name text,
    cpu_ms double precision, memory_avg double precision, memory_max bigint, threads_max integer, read_bytes bigint,
    write_bytes bigint
) LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    machines CONSTANT integer[] := ARRAY[machine_key(wanted)];
    a timestamptz := from_ts;
    b timestamptz := to_ts;
BEGIN
    IF to_ts - from_ts > interval '2 hours' THEN
        a := date_trunc('hour', from_ts, 'UTC');
        b := date_trunc('hour', to_ts - interval '1 microsecond', 'UTC') + interval '1 hour';
    END IF;
    RETURN QUERY SELECT t.* FROM (
        SELECT l.* FROM process_top_of_lists(wanted, from_ts, to_ts) l
        UNION ALL
        SELECT s.pid, s.started_at, c.name,
            CASE WHEN c.has_vars THEN format(c.command_line, VARIADIC string_to_array(s.vars, ' '))
                ELSE c.command_line END,
            o.user_name, s.cpu_us / 1000::double precision, s.memory_max::double precision, s.memory_max, NULL,
            s.read_bytes, s.write_bytes
        FROM (SELECT ts, command, owner, pid, started_at, cpu_us, memory_max, read_bytes, write_bytes, vars
                FROM short_lived_top(machines, a, b, 200, 'cpu_us')
            UNION
            SELECT ts, command, owner, pid, started_at, cpu_us, memory_max, read_bytes, write_bytes, vars
                FROM short_lived_top(machines, a, b, 200, 'memory_max')) s
            JOIN commands c ON c.id = s.command JOIN owners o ON o.id = s.owner) t
    ORDER BY t.cpu_ms DESC NULLS LAST, t.memory_max DESC NULLS LAST, t.started_at, t.pid;
END $$;
COMMENT ON FUNCTION process_top IS
    'usage of each process of a machine, highest CPU usage first; a window of more than two hours has whole hours. Of
the short-lived processes, it has the 200 with the most CPU time and the 200 with the most memory';
