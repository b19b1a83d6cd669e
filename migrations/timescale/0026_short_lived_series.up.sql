-- The series of short-lived processes in the timescale profile: one row per process, in a hypertable that is compressed
-- soon. The view short_lived has the same columns as in the other profile.

-- TimescaleDB compresses integers as differences. These have few values and many of them repeat, so a dictionary is
-- smaller. It uses one for types that it does not know, such as a domain.
CREATE DOMAIN repeated_bigint AS bigint;
CREATE DOMAIN repeated_integer AS integer;
CREATE DOMAIN repeated_smallint AS smallint;

CREATE TABLE short_lived_rows (
    ts           timestamptz NOT NULL,
    command      bigint NOT NULL,
    cpu_us       bigint,
    memory_pages bigint,
    read_bytes   repeated_bigint,
    write_bytes  repeated_bigint,
    machine      integer NOT NULL,
    owner        repeated_integer NOT NULL,
    pid          integer NOT NULL,
    ppid         repeated_integer,
    age_ms       integer NOT NULL,
    parent_gap   repeated_smallint,
    memory_rest  repeated_smallint,
    exit         repeated_smallint,
    vars         text
);
COMMENT ON TABLE short_lived_rows IS 'short-lived processes; read them with the view short_lived';
COMMENT ON COLUMN short_lived_rows.memory_pages IS 'largest memory in pages of 4 KiB, rounded down';
COMMENT ON COLUMN short_lived_rows.memory_rest IS 'bytes of the memory that memory_pages lacks; null for 0';
COMMENT ON COLUMN short_lived_rows.parent_gap IS 'pid - ppid if that is 1 to 100; null otherwise';
COMMENT ON COLUMN short_lived_rows.ppid IS 'pid of the parent; null if there is parent_gap';
COMMENT ON COLUMN short_lived_rows.age_ms IS 'milliseconds from the start of the process to ts';
COMMENT ON COLUMN short_lived_rows.exit IS 'exit code, or the negative number of the signal';

-- Chunks begin with an hour, because rows that are not compressed take ten times the space. The server adjusts it.
SELECT create_hypertable('short_lived_rows', by_range('ts', INTERVAL '1 hour'), create_default_indexes => false);
CREATE INDEX short_lived_rows_by_machine ON short_lived_rows (machine, ts);
ALTER TABLE short_lived_rows SET (timescaledb.compress, timescaledb.compress_segmentby = 'machine',
    timescaledb.compress_orderby = 'ts, age_ms DESC');
-- Indexes of compressed batches. Earlier versions of TimescaleDB lack the setting.
DO $$
BEGIN
    ALTER TABLE short_lived_rows SET (
        timescaledb.compress_index = 'bloom(command), minmax(cpu_us), minmax(memory_pages)');
EXCEPTION WHEN OTHERS THEN
    RAISE NOTICE 'compressed batches of short_lived_rows have no indexes: %', SQLERRM;
END $$;

CREATE VIEW short_lived AS
    SELECT ts, machine, command, owner::integer AS owner, pid,
        coalesce(ppid::integer, pid - parent_gap::integer) AS ppid,
        ts - age_ms * interval '1 ms' AS started_at,
        age_ms AS elapsed_ms, cpu_us, memory_pages * 4096 + coalesce(memory_rest::bigint, 0) AS memory_max,
        read_bytes::bigint AS read_bytes, write_bytes::bigint AS write_bytes,
        CASE WHEN exit >= 0 THEN exit::smallint END AS exit_code,
        CASE WHEN exit < 0 THEN -exit::smallint END AS exit_signal,
        vars, ts AS batch_ts, ts AS batch_first_ts, cpu_us AS cpu_us_bound, memory_pages AS memory_pages_bound,
        ARRAY[command] AS commands
    FROM short_lived_rows;

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
) WITH (fillfactor = 70); -- each snapshot updates rows of its minute: leave room for HOT updates
SELECT create_hypertable('short_lived_minutes', by_range('ts', INTERVAL '1 day'), create_default_indexes => false);
ALTER TABLE short_lived_minutes SET (timescaledb.compress, timescaledb.compress_segmentby = 'machine',
    timescaledb.compress_orderby = 'ts, name, owner');

CREATE VIEW short_lived_1m AS
    SELECT machine, ts - interval '1 ms' AS bucket, name, owner,
    processes, failed, cpu_us, cpu_us_max, elapsed_ms, longest_ms, memory_sum, memory_ms, memory_max, read_bytes,
    write_bytes, unknown_cpu, unknown_io, first_ts, last_ts,
    ts AS bucket_key
    FROM short_lived_minutes;

CREATE MATERIALIZED VIEW short_lived_1h_cagg
WITH (timescaledb.continuous, timescaledb.materialized_only = false, timescaledb.create_group_indexes = false) AS
SELECT machine, time_bucket('1 hour', ts, "offset" => interval '1 ms') AS bucket, name, owner,
    sum(processes)::bigint AS processes,
    sum(failed)::bigint AS failed,
    to_bigint(sum(cpu_us)) AS cpu_us,
    max(cpu_us_max) AS cpu_us_max,
    sum(elapsed_ms)::bigint AS elapsed_ms,
    max(longest_ms) AS longest_ms,
    sum(memory_sum) AS memory_sum,
    sum(memory_ms)::bigint AS memory_ms,
    max(memory_max) AS memory_max,
    to_bigint(sum(read_bytes)) AS read_bytes,
    to_bigint(sum(write_bytes)) AS write_bytes,
    sum(unknown_cpu)::bigint AS unknown_cpu,
    sum(unknown_io)::bigint AS unknown_io,
    min(first_ts) AS first_ts,
    max(last_ts) AS last_ts
FROM short_lived_minutes GROUP BY 1, 2, 3, 4 WITH NO DATA;
CREATE MATERIALIZED VIEW short_lived_1d_cagg
WITH (timescaledb.continuous, timescaledb.materialized_only = false, timescaledb.create_group_indexes = false) AS
SELECT machine, time_bucket('1 day', bucket, "offset" => interval '1 ms') AS bucket, name, owner,
    sum(processes)::bigint AS processes,
    sum(failed)::bigint AS failed,
    to_bigint(sum(cpu_us)) AS cpu_us,
    max(cpu_us_max) AS cpu_us_max,
    sum(elapsed_ms)::bigint AS elapsed_ms,
    max(longest_ms) AS longest_ms,
    sum(memory_sum) AS memory_sum,
    sum(memory_ms)::bigint AS memory_ms,
    max(memory_max) AS memory_max,
    to_bigint(sum(read_bytes)) AS read_bytes,
    to_bigint(sum(write_bytes)) AS write_bytes,
    sum(unknown_cpu)::bigint AS unknown_cpu,
    sum(unknown_io)::bigint AS unknown_io,
    min(first_ts) AS first_ts,
    max(last_ts) AS last_ts
FROM short_lived_1h_cagg GROUP BY 1, 2, 3, 4 WITH NO DATA;
CREATE INDEX short_lived_1h_cagg_by_machine ON short_lived_1h_cagg (machine, bucket);
CREATE INDEX short_lived_1d_cagg_by_machine ON short_lived_1d_cagg (machine, bucket);
ALTER MATERIALIZED VIEW short_lived_1h_cagg SET (timescaledb.compress, timescaledb.compress_segmentby = 'machine',
    timescaledb.compress_orderby = 'name, owner, bucket');
ALTER MATERIALIZED VIEW short_lived_1d_cagg SET (timescaledb.compress, timescaledb.compress_segmentby = 'machine',
    timescaledb.compress_orderby = 'name, owner, bucket');
SELECT set_chunk_time_interval('short_lived_1h_cagg', INTERVAL '1 day');
SELECT set_chunk_time_interval('short_lived_1d_cagg', INTERVAL '30 days');

CREATE VIEW short_lived_1h AS
    SELECT machine, bucket - interval '1 ms' AS bucket, name, owner,
    processes, failed, cpu_us, cpu_us_max, elapsed_ms, longest_ms, memory_sum, memory_ms, memory_max, read_bytes,
    write_bytes, unknown_cpu, unknown_io, first_ts, last_ts,
    bucket AS bucket_key
    FROM short_lived_1h_cagg;
CREATE VIEW short_lived_1d AS
    SELECT machine, bucket - interval '1 ms' AS bucket, name, owner,
    processes, failed, cpu_us, cpu_us_max, elapsed_ms, longest_ms, memory_sum, memory_ms, memory_max, read_bytes,
    write_bytes, unknown_cpu, unknown_io, first_ts, last_ts,
    bucket AS bucket_key
    FROM short_lived_1d_cagg;
