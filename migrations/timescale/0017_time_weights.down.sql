-- The rollups are computed again, as far back as their series are kept.

DROP VIEW history.machine_1m, history.machine_1h, history.machine_3h, history.machine_1d, history.process_1h,
    history.process_3h, history.process_1d;
DROP FUNCTION history.process_hour, history.process_merge;
DROP VIEW machine_1m, machine_1h, machine_3h, machine_1d, process_3h, process_1d;
DROP FUNCTION process_merge;
DROP VIEW process_1h;
DROP FUNCTION process_hour;
DROP VIEW open_3h, open_1d, open_1h;
DROP MATERIALIZED VIEW process_1d_cagg;
DROP MATERIALIZED VIEW process_3h_cagg;
DROP MATERIALIZED VIEW process_1h_cagg;
DROP MATERIALIZED VIEW machine_1d_cagg;
DROP MATERIALIZED VIEW machine_3h_cagg;
DROP MATERIALIZED VIEW machine_1h_cagg;
DROP MATERIALIZED VIEW machine_1m_cagg;
DELETE FROM settings WHERE key = 'policies';
SELECT remove_compression_policy(relation, if_exists => true), remove_retention_policy(relation, if_exists => true)
FROM unnest(ARRAY['snapshots', 'process_samples', 'disk_samples', 'net_samples']::regclass[]) relation;

CREATE MATERIALIZED VIEW machine_1m WITH (timescaledb.continuous, timescaledb.materialized_only = false, timescaledb.create_group_indexes = false) AS
SELECT machine, time_bucket('1 minute', ts) AS bucket,
    count(*) AS samples, sum(interval_ms)::bigint AS interval_ms, count(cpu_usage) AS cpu_samples,
    avg(cpu_usage) AS cpu_usage_avg, max(cpu_usage) AS cpu_usage_max,
    avg(load1) AS load1_avg, max(load1) AS load1_max, avg(load5) AS load5_avg, avg(load15) AS load15_avg,
    avg(used_ram)::double precision AS used_ram_avg, max(used_ram) AS used_ram_max, min(available_ram) AS available_ram_min, max(total_ram) AS total_ram,
    avg(used_swap)::double precision AS used_swap_avg, max(used_swap) AS used_swap_max, max(total_swap) AS total_swap,
    avg(used_disk)::double precision AS used_disk_avg, max(used_disk) AS used_disk_max, min(available_disk) AS available_disk_min, max(total_disk) AS total_disk,
    avg(process_count)::double precision AS process_count_avg, max(process_count) AS process_count_max,
    sum(read_bytes)::bigint AS read_bytes, sum(write_bytes)::bigint AS write_bytes,
    sum(received_bytes)::bigint AS received_bytes, sum(sent_bytes)::bigint AS sent_bytes
FROM snapshots GROUP BY machine, time_bucket('1 minute', ts) WITH NO DATA;

CREATE MATERIALIZED VIEW process_1h WITH (timescaledb.continuous, timescaledb.materialized_only = false, timescaledb.create_group_indexes = false) AS
SELECT machine, time_bucket('1 hour', ts) AS bucket, process,
    sum(cpu_ms)::bigint AS cpu_ms, max(cpu_ms) AS cpu_ms_max,
    coalesce(avg(memory_usage) FILTER (WHERE in_full), avg(memory_usage))::double precision AS memory_avg,
    coalesce(nullif(count(memory_usage) FILTER (WHERE in_full), 0), count(memory_usage)) AS memory_samples,
    max(memory_usage) AS memory_max, max(threads) AS threads_max,
    sum(read_bytes)::bigint AS read_bytes, sum(write_bytes)::bigint AS write_bytes,
    min(ts) AS first_ts, max(ts) AS last_ts
FROM process_samples WHERE state IS DISTINCT FROM 'exited' GROUP BY machine, time_bucket('1 hour', ts), process WITH NO DATA;

-- Each further level is computed from the previous one. Averages are weighted by their
-- number of samples.
DO $$
DECLARE
    machine_merge CONSTANT text := $merge$
        sum(samples)::bigint AS samples, sum(interval_ms)::bigint AS interval_ms, sum(cpu_samples)::bigint AS cpu_samples,
        sum(cpu_usage_avg * cpu_samples) / nullif(sum(cpu_samples), 0)::double precision AS cpu_usage_avg, max(cpu_usage_max) AS cpu_usage_max,
        sum(load1_avg * samples) / nullif(sum(samples) FILTER (WHERE load1_avg IS NOT NULL), 0)::double precision AS load1_avg, max(load1_max) AS load1_max,
        sum(load5_avg * samples) / nullif(sum(samples) FILTER (WHERE load5_avg IS NOT NULL), 0)::double precision AS load5_avg,
        sum(load15_avg * samples) / nullif(sum(samples) FILTER (WHERE load15_avg IS NOT NULL), 0)::double precision AS load15_avg,
        sum(used_ram_avg * samples) / nullif(sum(samples) FILTER (WHERE used_ram_avg IS NOT NULL), 0)::double precision AS used_ram_avg,
        max(used_ram_max) AS used_ram_max, min(available_ram_min) AS available_ram_min, max(total_ram) AS total_ram,
        sum(used_swap_avg * samples) / nullif(sum(samples) FILTER (WHERE used_swap_avg IS NOT NULL), 0)::double precision AS used_swap_avg,
        max(used_swap_max) AS used_swap_max, max(total_swap) AS total_swap,
        sum(used_disk_avg * samples) / nullif(sum(samples) FILTER (WHERE used_disk_avg IS NOT NULL), 0)::double precision AS used_disk_avg,
        max(used_disk_max) AS used_disk_max, min(available_disk_min) AS available_disk_min, max(total_disk) AS total_disk,
        sum(process_count_avg * samples) / nullif(sum(samples), 0)::double precision AS process_count_avg, max(process_count_max) AS process_count_max,
        sum(read_bytes)::bigint AS read_bytes, sum(write_bytes)::bigint AS write_bytes,
        sum(received_bytes)::bigint AS received_bytes, sum(sent_bytes)::bigint AS sent_bytes $merge$;
    process_merge CONSTANT text := $merge$
        sum(cpu_ms)::bigint AS cpu_ms, max(cpu_ms_max) AS cpu_ms_max,
        sum(memory_avg * memory_samples) / nullif(sum(memory_samples), 0)::double precision AS memory_avg, sum(memory_samples)::bigint AS memory_samples,
        max(memory_max) AS memory_max, max(threads_max) AS threads_max,
        sum(read_bytes)::bigint AS read_bytes, sum(write_bytes)::bigint AS write_bytes,
        min(first_ts) AS first_ts, max(last_ts) AS last_ts $merge$;
    aggregate CONSTANT text := 'CREATE MATERIALIZED VIEW %1$I WITH (timescaledb.continuous, timescaledb.materialized_only = false, timescaledb.create_group_indexes = false) AS
        SELECT machine, time_bucket(%2$L::interval, bucket) AS bucket, %4$s FROM %3$I GROUP BY machine, time_bucket(%2$L::interval, bucket)%5$s WITH NO DATA';
BEGIN
    EXECUTE format(aggregate, 'machine_1h', '1 hour', 'machine_1m', machine_merge, '');
    EXECUTE format(aggregate, 'machine_3h', '3 hours', 'machine_1h', machine_merge, '');
    EXECUTE format(aggregate, 'machine_1d', '1 day', 'machine_3h', machine_merge, '');
    EXECUTE format(aggregate, 'process_3h', '3 hours', 'process_1h', 'process, ' || process_merge, ', process');
    EXECUTE format(aggregate, 'process_1d', '1 day', 'process_3h', 'process, ' || process_merge, ', process');
END $$;

CREATE INDEX machine_1m_by_machine ON machine_1m (machine, bucket);
CREATE INDEX machine_1h_by_machine ON machine_1h (machine, bucket);
CREATE INDEX machine_3h_by_machine ON machine_3h (machine, bucket);
CREATE INDEX machine_1d_by_machine ON machine_1d (machine, bucket);
CREATE INDEX process_1h_by_machine ON process_1h (machine, bucket);
CREATE INDEX process_3h_by_machine ON process_3h (machine, bucket);
CREATE INDEX process_1d_by_machine ON process_1d (machine, bucket);
CREATE INDEX process_1h_by_process ON process_1h (process, bucket);
CREATE INDEX process_3h_by_process ON process_3h (process, bucket);
CREATE INDEX process_1d_by_process ON process_1d (process, bucket);

ALTER MATERIALIZED VIEW machine_1m SET (timescaledb.compress, timescaledb.compress_segmentby = 'machine', timescaledb.compress_orderby = 'bucket');
ALTER MATERIALIZED VIEW machine_1h SET (timescaledb.compress, timescaledb.compress_segmentby = 'machine', timescaledb.compress_orderby = 'bucket');
ALTER MATERIALIZED VIEW machine_3h SET (timescaledb.compress, timescaledb.compress_segmentby = 'machine', timescaledb.compress_orderby = 'bucket');
ALTER MATERIALIZED VIEW machine_1d SET (timescaledb.compress, timescaledb.compress_segmentby = 'machine', timescaledb.compress_orderby = 'bucket');
ALTER MATERIALIZED VIEW process_1h SET (timescaledb.compress, timescaledb.compress_segmentby = 'machine', timescaledb.compress_orderby = 'process, bucket');
ALTER MATERIALIZED VIEW process_3h SET (timescaledb.compress, timescaledb.compress_segmentby = 'machine', timescaledb.compress_orderby = 'process, bucket');
ALTER MATERIALIZED VIEW process_1d SET (timescaledb.compress, timescaledb.compress_segmentby = 'machine', timescaledb.compress_orderby = 'process, bucket');

-- Intervals so long that a year has few chunks, and so short that most chunks have ended
-- and are compressed.
SELECT set_chunk_time_interval('machine_1m', INTERVAL '7 days');
SELECT set_chunk_time_interval('process_1h', INTERVAL '1 day');
SELECT set_chunk_time_interval('machine_1h', INTERVAL '30 days');
SELECT set_chunk_time_interval('process_3h', INTERVAL '7 days');
SELECT set_chunk_time_interval('machine_3h', INTERVAL '90 days');
SELECT set_chunk_time_interval('machine_1d', INTERVAL '90 days');
SELECT set_chunk_time_interval('process_1d', INTERVAL '30 days');

CREATE VIEW history.machine_1m AS SELECT * FROM machine_1m;
CREATE VIEW history.machine_1h AS SELECT * FROM machine_1h;
CREATE VIEW history.machine_3h AS SELECT * FROM machine_3h;
CREATE VIEW history.machine_1d AS SELECT * FROM machine_1d;
CREATE VIEW history.process_1h AS SELECT * FROM process_1h;
CREATE VIEW history.process_3h AS SELECT * FROM process_3h;
CREATE VIEW history.process_1d AS SELECT * FROM process_1d;

-- Earlier versions do not know from when data is complete.
DELETE FROM settings WHERE key = 'complete_from';
