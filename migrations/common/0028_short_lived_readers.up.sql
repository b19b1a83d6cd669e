-- How queries read short-lived processes.

-- The processes with the largest cpu_us or memory_max in (a, b]. If n groups lie in the window, the n-th largest of
-- their largest values is a lower bound for all processes of the result. So only the groups that reach it are read.
-- Each row is read once, because spans of groups that overlap are merged. The statements contain the values, because
-- TimescaleDB then excludes chunks and compares compressed columns directly.
CREATE FUNCTION short_lived_top(machines integer[], a timestamptz, b timestamptz, n bigint, by_column text)
RETURNS SETOF short_lived LANGUAGE plpgsql STABLE AS $$
DECLARE
    scope text := CASE WHEN machines IS NULL THEN 'machine IN (SELECT id FROM machines)'
        WHEN cardinality(machines) = 1 THEN format('machine = %s', machines[1])
        ELSE format('machine = ANY(%L::integer[])', machines) END;
    columns CONSTANT text := 'ts, machine, command, owner, pid, ppid, started_at, ended_at, elapsed_ms, cpu_us,
        memory_max, read_bytes, write_bytes, exit_code, exit_signal, vars, batch_ts, batch_first_ts, cpu_us_bound,
        memory_pages_bound, commands';
    bound bigint;
    source text;
    in_batch text;
    span_machines integer[];
    span_starts timestamptz[];
    span_ends timestamptz[];
BEGIN
    IF by_column NOT IN ('cpu_us', 'memory_max') THEN
        RAISE EXCEPTION 'short_lived_top cannot sort by %', by_column USING ERRCODE = 'invalid_parameter_value';
    END IF;
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
    IF bound IS NULL THEN
        RETURN QUERY EXECUTE format('SELECT %1$s FROM short_lived
            WHERE %2$s AND ts > %3$L AND ts <= %4$L AND batch_ts > %3$L AND batch_first_ts <= %4$L
                AND batch_ts <= %4$L::timestamptz + interval ''1 hour''
            ORDER BY %5$I DESC NULLS LAST, memory_max DESC NULLS LAST, ts, pid LIMIT %6$s',
            columns, scope, a, b, by_column, n);
        RETURN;
    END IF;
    in_batch := CASE by_column WHEN 'cpu_us' THEN format('cpu_us_bound >= %s', bound)
        ELSE format('memory_pages_bound >= %s', bound / 4096) END;
    EXECUTE format('SELECT array_agg(machine), array_agg(lower(span)), array_agg(upper(span)) FROM (
            SELECT machine, unnest(range_agg(tstzrange(first_ts, last_ts, ''[]''))) AS span FROM (%2$s) g
            WHERE %3$s AND key > %4$L::timestamptz - interval ''1 minute''
                AND key <= %5$L::timestamptz + interval ''1 hour'' AND first_ts <= %5$L AND last_ts > %4$L
                AND %1$I >= %6$s
            GROUP BY machine) x', by_column, source, scope, a, b, bound)
        INTO span_machines, span_starts, span_ends;
    RETURN QUERY EXECUTE format('SELECT %1$s FROM unnest(%2$L::integer[], %3$L::timestamptz[], %4$L::timestamptz[])
                span(span_machine, starts, ends)
            CROSS JOIN LATERAL (SELECT * FROM short_lived s
                WHERE s.machine = span_machine AND s.ts >= starts AND s.ts <= ends AND s.ts > %5$L AND s.ts <= %6$L
                    AND s.batch_ts >= starts AND s.batch_first_ts <= ends
                    AND s.batch_ts <= date_bin(''1 hour'', ends - interval ''1 ms'', ''2000-01-01 00:00:00+00'')
                        + interval ''1 hour''
                    AND s.%7$s AND s.%8$I >= %9$s OFFSET 0) s
        ORDER BY %8$I DESC, memory_max DESC NULLS LAST, ts, pid LIMIT %10$s',
        columns, span_machines, span_starts, span_ends, a, b, in_batch, by_column, bound, n);
END $$;
COMMENT ON FUNCTION short_lived_top IS
    'short-lived processes of machines, or of all for null, with the largest cpu_us or memory_max in (a, b]';
