-- The series of short-lived processes in the postgres profile: one row per snapshot, with an array for each column. It
-- takes a third of the space of one row per process. The server merges the rows of an hour that have few processes. The
-- view short_lived has one row per process.

CREATE TABLE short_lived_batches (
    ts          timestamptz NOT NULL,
    first_ts    timestamptz NOT NULL,
    machine     integer NOT NULL,
    processes   integer NOT NULL,
    cpu_us_max  bigint,
    memory_max  bigint,
    at_ms       integer[] COMPRESSION pglz,
    command     bigint[] COMPRESSION pglz NOT NULL,
    owner       integer[] COMPRESSION pglz NOT NULL,
    pid         integer[] COMPRESSION pglz NOT NULL,
    ppid        integer[] COMPRESSION pglz NOT NULL,
    age_ms      integer[] COMPRESSION pglz NOT NULL,
    cpu_us      bigint[] COMPRESSION pglz,
    memory      bigint[] COMPRESSION pglz,
    read_bytes  bigint[] COMPRESSION pglz,
    write_bytes bigint[] COMPRESSION pglz,
    exit        smallint[] COMPRESSION pglz,
    vars        text[] COMPRESSION pglz,
    PRIMARY KEY (machine, ts)
) PARTITION BY RANGE (ts);
CREATE INDEX short_lived_batches_by_command ON short_lived_batches USING gin (command);
COMMENT ON TABLE short_lived_batches IS
    'short-lived processes, with an array for each column; an array is null if all its values are';
COMMENT ON COLUMN short_lived_batches.ts IS
    'last snapshot of the batch; all snapshots are in the same hour (h, h + 1 h]';
COMMENT ON COLUMN short_lived_batches.processes IS 'length of the arrays';
COMMENT ON COLUMN short_lived_batches.at_ms IS
    'milliseconds from the snapshot of a process to ts; null if the batch has one snapshot';
COMMENT ON COLUMN short_lived_batches.age_ms IS 'milliseconds from the start of a process to its snapshot';
COMMENT ON COLUMN short_lived_batches.exit IS 'exit code, or the negative number of the signal';

-- array_cat reads and decompresses an array once for its batch. OFFSET 0 and the length from that subquery keep
-- PostgreSQL from doing it for each row. unnest would form a row of all columns for each process, also where a
-- condition needs only one: it takes about seven times as long.
CREATE VIEW short_lived AS
    SELECT b.ts - coalesce(a.at_ms[i], 0) * interval '1 ms' AS ts, b.machine, a.command[i] AS command,
        a.owner[i] AS owner, a.pid[i] AS pid, a.ppid[i] AS ppid,
        b.ts - (coalesce(a.at_ms[i], 0) + a.age_ms[i]) * interval '1 ms' AS started_at,
        a.age_ms[i] AS elapsed_ms, a.cpu_us[i] AS cpu_us, a.memory[i] AS memory_max, a.read_bytes[i] AS read_bytes,
        a.write_bytes[i] AS write_bytes, CASE WHEN a.exit[i] >= 0 THEN a.exit[i] END AS exit_code,
        CASE WHEN a.exit[i] < 0 THEN -a.exit[i] END AS exit_signal, a.vars[i] AS vars, b.ts AS batch_ts,
        b.first_ts AS batch_first_ts, b.cpu_us_max AS cpu_us_bound, b.memory_max / 4096 AS memory_pages_bound,
        b.command AS commands
    FROM short_lived_batches b
        CROSS JOIN LATERAL (SELECT b.processes AS length, array_cat(b.at_ms, NULL) AS at_ms,
            array_cat(b.command, NULL) AS command, array_cat(b.owner, NULL) AS owner, array_cat(b.pid, NULL) AS pid,
            array_cat(b.ppid, NULL) AS ppid, array_cat(b.age_ms, NULL) AS age_ms,
            array_cat(b.cpu_us, NULL) AS cpu_us,
            array_cat(b.memory, NULL) AS memory, array_cat(b.read_bytes, NULL) AS read_bytes,
            array_cat(b.write_bytes, NULL) AS write_bytes, array_cat(b.exit, NULL) AS exit,
            array_cat(b.vars, NULL) AS vars OFFSET 0) a
        CROSS JOIN LATERAL generate_series(1, a.length) i;

CREATE TABLE short_lived_minutes (
    ts            timestamptz NOT NULL,
    machine       integer NOT NULL,
    owner         integer NOT NULL,
    name          text NOT NULL,
    processes     bigint NOT NULL,
    failed        bigint NOT NULL,
    cpu_us        bigint,
    cpu_us_max    bigint,
    elapsed_ms    bigint NOT NULL,
    longest_ms    bigint NOT NULL,
    memory_sum    double precision,
    memory_ms     bigint,
    memory_max    bigint,
    read_bytes    bigint,
    write_bytes   bigint,
    unknown_cpu   bigint NOT NULL,
    unknown_io    bigint NOT NULL,
    first_ts      timestamptz NOT NULL,
    last_ts       timestamptz NOT NULL,
    PRIMARY KEY (machine, ts, name, owner)
) PARTITION BY RANGE (ts);

CREATE VIEW short_lived_1m AS
    SELECT machine, ts - interval '1 ms' AS bucket, name, owner,
    processes, failed, cpu_us, cpu_us_max, elapsed_ms, longest_ms, memory_sum, memory_ms, memory_max, read_bytes,
    write_bytes, unknown_cpu, unknown_io, first_ts, last_ts,
    ts AS bucket_key
    FROM short_lived_minutes;

-- Hours and days, which the server computes from the minutes as it computes other rollups.
CREATE TABLE short_lived_1h_done (
    machine       integer NOT NULL,
    bucket        timestamptz NOT NULL,
    name          text NOT NULL,
    owner         integer NOT NULL,
    processes     bigint NOT NULL,
    failed        bigint NOT NULL,
    cpu_us        bigint,
    cpu_us_max    bigint,
    elapsed_ms    bigint NOT NULL,
    longest_ms    bigint NOT NULL,
    memory_sum    double precision,
    memory_ms     bigint,
    memory_max    bigint,
    read_bytes    bigint,
    write_bytes   bigint,
    unknown_cpu   bigint NOT NULL,
    unknown_io    bigint NOT NULL,
    first_ts      timestamptz NOT NULL,
    last_ts       timestamptz NOT NULL,
    PRIMARY KEY (machine, bucket, name, owner)
) PARTITION BY RANGE (bucket);
CREATE TABLE short_lived_1d_done (LIKE short_lived_1h_done INCLUDING ALL) PARTITION BY RANGE (bucket);

CREATE FUNCTION short_lived_hour(m integer, a timestamptz)
    RETURNS SETOF short_lived_1h_done LANGUAGE sql STABLE AS $$
    SELECT m, a, name, owner,
        sum(processes)::bigint, sum(failed)::bigint, to_bigint(sum(cpu_us)), max(cpu_us_max), sum(elapsed_ms)::bigint,
        max(longest_ms), sum(memory_sum), sum(memory_ms)::bigint, max(memory_max), to_bigint(sum(read_bytes)),
        to_bigint(sum(write_bytes)), sum(unknown_cpu)::bigint, sum(unknown_io)::bigint, min(first_ts), max(last_ts)
    FROM short_lived_minutes WHERE machine = m AND ts > a AND ts <= a + interval '1 hour' GROUP BY name, owner
$$;
COMMENT ON FUNCTION short_lived_hour IS 'a row of short_lived_1h for each name and owner, computed from the minutes';

-- The hours of [a, b): the stored ones, with dirty ones computed from the minutes.
CREATE FUNCTION short_lived_hours(m integer, a timestamptz, b timestamptz)
    RETURNS SETOF short_lived_1h_done LANGUAGE sql STABLE AS $$
    SELECT * FROM short_lived_1h_done d WHERE d.machine = m AND d.bucket >= a AND d.bucket < b
        AND NOT EXISTS (SELECT FROM rollup_marks k
            WHERE k.machine = d.machine AND k.bucket = d.bucket AND k.level = 1)
    UNION ALL
    SELECT h.* FROM (
        SELECT DISTINCT k.machine, k.bucket FROM rollup_marks k
        WHERE k.machine = m AND k.bucket >= a AND k.bucket < b AND k.level = 1) k
        CROSS JOIN LATERAL short_lived_hour(k.machine, k.bucket) h
$$;

CREATE FUNCTION short_lived_merge(m integer, a timestamptz, width interval)
    RETURNS SETOF short_lived_1h_done LANGUAGE sql STABLE AS $$
    SELECT m, a, name, owner,
        sum(processes)::bigint, sum(failed)::bigint, to_bigint(sum(cpu_us)), max(cpu_us_max), sum(elapsed_ms)::bigint,
        max(longest_ms), sum(memory_sum), sum(memory_ms)::bigint, max(memory_max), to_bigint(sum(read_bytes)),
        to_bigint(sum(write_bytes)), sum(unknown_cpu)::bigint, sum(unknown_io)::bigint, min(first_ts), max(last_ts)
    FROM short_lived_hours(m, a, a + width) GROUP BY name, owner
$$;
COMMENT ON FUNCTION short_lived_merge IS 'one bucket of several hours, computed from the hours';

-- The condition h.machine = k.machine is always true. Without it, the functions would be called for the hours of all
-- machines if one machine is read.
CREATE VIEW short_lived_1h AS
    SELECT *, bucket AS bucket_key FROM short_lived_1h_done d
    WHERE NOT EXISTS (SELECT FROM rollup_dirty_1h k WHERE k.machine = d.machine AND k.bucket = d.bucket)
    UNION ALL
    SELECT h.*, h.bucket FROM rollup_dirty_1h k CROSS JOIN LATERAL short_lived_hour(k.machine, k.bucket) h
    WHERE h.machine = k.machine;
CREATE VIEW short_lived_1d AS
    SELECT *, bucket AS bucket_key FROM short_lived_1d_done d
    WHERE NOT EXISTS (SELECT FROM rollup_dirty_1d k WHERE k.machine = d.machine AND k.bucket = d.bucket)
    UNION ALL
    SELECT h.*, h.bucket FROM rollup_dirty_1d k CROSS JOIN LATERAL
        short_lived_merge(k.machine, k.bucket, '24 hours') h
    WHERE h.machine = k.machine;
