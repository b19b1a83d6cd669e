-- Averages are weighted by time, and a bucket is (bucket, bucket + width], because a sample at ts covers
-- (ts - interval, ts]. Timestamps are whole milliseconds, so the continuous aggregates have an offset of 1 ms. The
-- views over them show the start of a bucket without it.
--
-- Each average has the time that it covers, such as load1_ms for load1_avg: the milliseconds of the snapshots that have
-- the value. It is null if that is interval_ms.
--
-- Filter the views by bucket_key, which is the column of the aggregate, 1 ms after bucket. A condition on bucket cannot
-- exclude chunks.

DROP VIEW history.machine_1m, history.machine_1h, history.machine_3h, history.machine_1d, history.process_1h,
    history.process_3h, history.process_1d;

CREATE MATERIALIZED VIEW machine_1m_cagg
WITH (timescaledb.continuous, timescaledb.materialized_only = false, timescaledb.create_group_indexes = false) AS
SELECT machine, time_bucket('1 minute', ts, "offset" => interval '1 ms') AS bucket,
    count(*) AS samples,
    sum(interval_ms)::bigint AS interval_ms,
    sum(process_count) AS process_count_sum,
    coalesce(sum(cpu_usage::double precision * interval_ms)
        / nullif(sum(interval_ms) FILTER (WHERE cpu_usage IS NOT NULL), 0)::double precision,
        avg(cpu_usage)::double precision) AS cpu_usage_avg,
    max(cpu_usage) AS cpu_usage_max,
    coalesce(sum(load1::double precision * interval_ms)
        / nullif(sum(interval_ms) FILTER (WHERE load1 IS NOT NULL), 0)::double precision,
        avg(load1)::double precision) AS load1_avg,
    max(load1) AS load1_max,
    coalesce(sum(load5::double precision * interval_ms)
        / nullif(sum(interval_ms) FILTER (WHERE load5 IS NOT NULL), 0)::double precision,
        avg(load5)::double precision) AS load5_avg,
    coalesce(sum(load15::double precision * interval_ms)
        / nullif(sum(interval_ms) FILTER (WHERE load15 IS NOT NULL), 0)::double precision,
        avg(load15)::double precision) AS load15_avg,
    coalesce(sum(used_ram::double precision * interval_ms)
        / nullif(sum(interval_ms) FILTER (WHERE used_ram IS NOT NULL), 0)::double precision,
        avg(used_ram)::double precision) AS used_ram_avg,
    max(used_ram) AS used_ram_max,
    min(available_ram) AS available_ram_min,
    max(total_ram) AS total_ram,
    coalesce(sum(used_swap::double precision * interval_ms)
        / nullif(sum(interval_ms) FILTER (WHERE used_swap IS NOT NULL), 0)::double precision,
        avg(used_swap)::double precision) AS used_swap_avg,
    max(used_swap) AS used_swap_max,
    max(total_swap) AS total_swap,
    coalesce(sum(used_disk::double precision * interval_ms)
        / nullif(sum(interval_ms) FILTER (WHERE used_disk IS NOT NULL), 0)::double precision,
        avg(used_disk)::double precision) AS used_disk_avg,
    max(used_disk) AS used_disk_max,
    min(available_disk) AS available_disk_min,
    max(total_disk) AS total_disk,
    coalesce(sum(process_count::double precision * interval_ms)
        / nullif(sum(interval_ms), 0)::double precision, avg(process_count)::double precision) AS process_count_avg,
    max(process_count) AS process_count_max,
    to_bigint(sum(read_bytes)) AS read_bytes,
    to_bigint(sum(write_bytes)) AS write_bytes,
    to_bigint(sum(received_bytes)) AS received_bytes,
    to_bigint(sum(sent_bytes)) AS sent_bytes,
    nullif(sum(interval_ms) FILTER (WHERE cpu_usage IS NOT NULL), sum(interval_ms))::bigint AS cpu_usage_ms,
    nullif(sum(interval_ms) FILTER (WHERE load1 IS NOT NULL), sum(interval_ms))::bigint AS load1_ms,
    nullif(sum(interval_ms) FILTER (WHERE load5 IS NOT NULL), sum(interval_ms))::bigint AS load5_ms,
    nullif(sum(interval_ms) FILTER (WHERE load15 IS NOT NULL), sum(interval_ms))::bigint AS load15_ms,
    nullif(sum(interval_ms) FILTER (WHERE used_ram IS NOT NULL), sum(interval_ms))::bigint AS used_ram_ms,
    nullif(sum(interval_ms) FILTER (WHERE used_swap IS NOT NULL), sum(interval_ms))::bigint AS used_swap_ms,
    nullif(sum(interval_ms) FILTER (WHERE used_disk IS NOT NULL), sum(interval_ms))::bigint AS used_disk_ms,
    nullif(sum(interval_ms) FILTER (WHERE read_bytes IS NOT NULL), sum(interval_ms))::bigint AS read_ms,
    nullif(sum(interval_ms) FILTER (WHERE write_bytes IS NOT NULL), sum(interval_ms))::bigint AS write_ms,
    nullif(sum(interval_ms) FILTER (WHERE received_bytes IS NOT NULL), sum(interval_ms))::bigint AS received_ms,
    nullif(sum(interval_ms) FILTER (WHERE sent_bytes IS NOT NULL), sum(interval_ms))::bigint AS sent_ms,
    coalesce(sum(buffers_ram::double precision * interval_ms)
        / nullif(sum(interval_ms) FILTER (WHERE buffers_ram IS NOT NULL), 0)::double precision,
        avg(buffers_ram)::double precision) AS buffers_ram_avg,
    coalesce(sum(cached_ram::double precision * interval_ms)
        / nullif(sum(interval_ms) FILTER (WHERE cached_ram IS NOT NULL), 0)::double precision,
        avg(cached_ram)::double precision) AS cached_ram_avg,
    coalesce(sum(shared_ram::double precision * interval_ms)
        / nullif(sum(interval_ms) FILTER (WHERE shared_ram IS NOT NULL), 0)::double precision,
        avg(shared_ram)::double precision) AS shared_ram_avg,
    coalesce(sum(slab_ram::double precision * interval_ms)
        / nullif(sum(interval_ms) FILTER (WHERE slab_ram IS NOT NULL), 0)::double precision,
        avg(slab_ram)::double precision) AS slab_ram_avg,
    nullif(sum(interval_ms) FILTER (WHERE buffers_ram IS NOT NULL), sum(interval_ms))::bigint AS buffers_ram_ms,
    nullif(sum(interval_ms) FILTER (WHERE cached_ram IS NOT NULL), sum(interval_ms))::bigint AS cached_ram_ms,
    nullif(sum(interval_ms) FILTER (WHERE shared_ram IS NOT NULL), sum(interval_ms))::bigint AS shared_ram_ms,
    nullif(sum(interval_ms) FILTER (WHERE slab_ram IS NOT NULL), sum(interval_ms))::bigint AS slab_ram_ms
FROM snapshots GROUP BY 1, 2 WITH NO DATA;

CREATE MATERIALIZED VIEW process_1h_cagg
WITH (timescaledb.continuous, timescaledb.materialized_only = false, timescaledb.create_group_indexes = false) AS
SELECT machine, time_bucket('1 hour', ts, "offset" => interval '1 ms') AS bucket, process,
    to_bigint(sum(coalesce(cpu_us, cpu_ms * 1000))) AS cpu_us,
    max(coalesce(cpu_us, cpu_ms * 1000)) AS cpu_us_max,
    coalesce(sum(coalesce(memory_mean,
        memory_usage)::double precision * weight_ms) / nullif(sum(weight_ms) FILTER (WHERE coalesce(memory_mean,
        memory_usage) IS NOT NULL), 0)::double precision, avg(memory_usage) FILTER (WHERE in_full)::double precision,
        avg(memory_usage)::double precision) AS memory_avg,
    nullif(sum(weight_ms) FILTER (WHERE coalesce(memory_mean, memory_usage) IS NOT NULL),
        sum(weight_ms)) AS memory_ms,
    max(memory_usage) AS memory_max,
    max(threads) AS threads_max,
    to_bigint(sum(read_bytes)) AS read_bytes,
    to_bigint(sum(write_bytes)) AS write_bytes,
    min(ts) AS first_ts,
    max(ts) AS last_ts,
    CASE WHEN count(*) = count(weight_ms) THEN sum(weight_ms) END AS elapsed_ms
FROM process_samples WHERE state IS DISTINCT FROM 'exited' OR weight_ms > 0 GROUP BY 1, 2, 3 WITH NO DATA;

-- Each further level is computed from the previous one.
DO $$
DECLARE
    machine_merge CONSTANT text := $merge$
        sum(samples)::bigint AS samples,
        sum(interval_ms)::bigint AS interval_ms,
        sum(process_count_sum)::bigint AS process_count_sum,
        coalesce(sum(cpu_usage_avg * coalesce(cpu_usage_ms, interval_ms))
            / nullif(sum(coalesce(cpu_usage_ms, interval_ms)) FILTER (WHERE cpu_usage_avg IS NOT NULL),
            0)::double precision, avg(cpu_usage_avg)) AS cpu_usage_avg,
        max(cpu_usage_max) AS cpu_usage_max,
        coalesce(sum(load1_avg * coalesce(load1_ms, interval_ms))
            / nullif(sum(coalesce(load1_ms, interval_ms)) FILTER (WHERE load1_avg IS NOT NULL), 0)::double precision,
            avg(load1_avg)) AS load1_avg,
        max(load1_max) AS load1_max,
        coalesce(sum(load5_avg * coalesce(load5_ms, interval_ms))
            / nullif(sum(coalesce(load5_ms, interval_ms)) FILTER (WHERE load5_avg IS NOT NULL), 0)::double precision,
            avg(load5_avg)) AS load5_avg,
        coalesce(sum(load15_avg * coalesce(load15_ms, interval_ms))
            / nullif(sum(coalesce(load15_ms, interval_ms)) FILTER (WHERE load15_avg IS NOT NULL),
            0)::double precision, avg(load15_avg)) AS load15_avg,
        coalesce(sum(used_ram_avg * coalesce(used_ram_ms, interval_ms))
            / nullif(sum(coalesce(used_ram_ms, interval_ms)) FILTER (WHERE used_ram_avg IS NOT NULL),
            0)::double precision, avg(used_ram_avg)) AS used_ram_avg,
        max(used_ram_max) AS used_ram_max,
        min(available_ram_min) AS available_ram_min,
        max(total_ram) AS total_ram,
        coalesce(sum(used_swap_avg * coalesce(used_swap_ms, interval_ms))
            / nullif(sum(coalesce(used_swap_ms, interval_ms)) FILTER (WHERE used_swap_avg IS NOT NULL),
            0)::double precision, avg(used_swap_avg)) AS used_swap_avg,
        max(used_swap_max) AS used_swap_max,
        max(total_swap) AS total_swap,
        coalesce(sum(used_disk_avg * coalesce(used_disk_ms, interval_ms))
            / nullif(sum(coalesce(used_disk_ms, interval_ms)) FILTER (WHERE used_disk_avg IS NOT NULL),
            0)::double precision, avg(used_disk_avg)) AS used_disk_avg,
        max(used_disk_max) AS used_disk_max,
        min(available_disk_min) AS available_disk_min,
        max(total_disk) AS total_disk,
        coalesce(sum(process_count_avg * interval_ms)
            / nullif(sum(interval_ms), 0)::double precision, avg(process_count_avg)) AS process_count_avg,
        max(process_count_max) AS process_count_max,
        to_bigint(sum(read_bytes)) AS read_bytes,
        to_bigint(sum(write_bytes)) AS write_bytes,
        to_bigint(sum(received_bytes)) AS received_bytes,
        to_bigint(sum(sent_bytes)) AS sent_bytes,
        nullif(sum(coalesce(cpu_usage_ms, interval_ms)) FILTER (WHERE cpu_usage_avg IS NOT NULL),
            sum(interval_ms))::bigint AS cpu_usage_ms,
        nullif(sum(coalesce(load1_ms, interval_ms)) FILTER (WHERE load1_avg IS NOT NULL),
            sum(interval_ms))::bigint AS load1_ms,
        nullif(sum(coalesce(load5_ms, interval_ms)) FILTER (WHERE load5_avg IS NOT NULL),
            sum(interval_ms))::bigint AS load5_ms,
        nullif(sum(coalesce(load15_ms, interval_ms)) FILTER (WHERE load15_avg IS NOT NULL),
            sum(interval_ms))::bigint AS load15_ms,
        nullif(sum(coalesce(used_ram_ms, interval_ms)) FILTER (WHERE used_ram_avg IS NOT NULL),
            sum(interval_ms))::bigint AS used_ram_ms,
        nullif(sum(coalesce(used_swap_ms, interval_ms)) FILTER (WHERE used_swap_avg IS NOT NULL),
            sum(interval_ms))::bigint AS used_swap_ms,
        nullif(sum(coalesce(used_disk_ms, interval_ms)) FILTER (WHERE used_disk_avg IS NOT NULL),
            sum(interval_ms))::bigint AS used_disk_ms,
        nullif(sum(coalesce(read_ms, interval_ms)) FILTER (WHERE read_bytes IS NOT NULL),
            sum(interval_ms))::bigint AS read_ms,
        nullif(sum(coalesce(write_ms, interval_ms)) FILTER (WHERE write_bytes IS NOT NULL),
            sum(interval_ms))::bigint AS write_ms,
        nullif(sum(coalesce(received_ms, interval_ms)) FILTER (WHERE received_bytes IS NOT NULL),
            sum(interval_ms))::bigint AS received_ms,
        nullif(sum(coalesce(sent_ms, interval_ms)) FILTER (WHERE sent_bytes IS NOT NULL),
            sum(interval_ms))::bigint AS sent_ms,
        coalesce(sum(buffers_ram_avg * coalesce(buffers_ram_ms, interval_ms))
            / nullif(sum(coalesce(buffers_ram_ms, interval_ms)) FILTER (WHERE buffers_ram_avg IS NOT NULL),
            0)::double precision, avg(buffers_ram_avg)) AS buffers_ram_avg,
        coalesce(sum(cached_ram_avg * coalesce(cached_ram_ms, interval_ms))
            / nullif(sum(coalesce(cached_ram_ms, interval_ms)) FILTER (WHERE cached_ram_avg IS NOT NULL),
            0)::double precision, avg(cached_ram_avg)) AS cached_ram_avg,
        coalesce(sum(shared_ram_avg * coalesce(shared_ram_ms, interval_ms))
            / nullif(sum(coalesce(shared_ram_ms, interval_ms)) FILTER (WHERE shared_ram_avg IS NOT NULL),
            0)::double precision, avg(shared_ram_avg)) AS shared_ram_avg,
        coalesce(sum(slab_ram_avg * coalesce(slab_ram_ms, interval_ms))
            / nullif(sum(coalesce(slab_ram_ms, interval_ms)) FILTER (WHERE slab_ram_avg IS NOT NULL),
            0)::double precision, avg(slab_ram_avg)) AS slab_ram_avg,
        nullif(sum(coalesce(buffers_ram_ms, interval_ms)) FILTER (WHERE buffers_ram_avg IS NOT NULL),
            sum(interval_ms))::bigint AS buffers_ram_ms,
        nullif(sum(coalesce(cached_ram_ms, interval_ms)) FILTER (WHERE cached_ram_avg IS NOT NULL),
            sum(interval_ms))::bigint AS cached_ram_ms,
        nullif(sum(coalesce(shared_ram_ms, interval_ms)) FILTER (WHERE shared_ram_avg IS NOT NULL),
            sum(interval_ms))::bigint AS shared_ram_ms,
        nullif(sum(coalesce(slab_ram_ms, interval_ms)) FILTER (WHERE slab_ram_avg IS NOT NULL),
            sum(interval_ms))::bigint AS slab_ram_ms $merge$;
    process_merge CONSTANT text := $merge$
        to_bigint(sum(cpu_us)) AS cpu_us,
        max(cpu_us_max) AS cpu_us_max,
        coalesce(sum(memory_avg * coalesce(memory_ms, elapsed_ms,
            (extract(epoch FROM last_ts - first_ts) * 1000)::bigint + 60000)) / nullif(sum(coalesce(memory_ms,
            elapsed_ms, (extract(epoch FROM last_ts - first_ts) * 1000)::bigint + 60000))
            FILTER (WHERE memory_avg IS NOT NULL), 0)::double precision, avg(memory_avg)) AS memory_avg,
        nullif(sum(coalesce(memory_ms, elapsed_ms,
            (extract(epoch FROM last_ts - first_ts) * 1000)::bigint + 60000)) FILTER (WHERE memory_avg IS NOT NULL),
            sum(elapsed_ms))::bigint AS memory_ms,
        max(memory_max) AS memory_max,
        max(threads_max) AS threads_max,
        to_bigint(sum(read_bytes)) AS read_bytes,
        to_bigint(sum(write_bytes)) AS write_bytes,
        min(first_ts) AS first_ts,
        max(last_ts) AS last_ts,
        CASE WHEN count(*) = count(elapsed_ms) THEN sum(elapsed_ms)::bigint END AS elapsed_ms $merge$;
    aggregate CONSTANT text := 'CREATE MATERIALIZED VIEW %1$I WITH (timescaledb.continuous,
        timescaledb.materialized_only = false, timescaledb.create_group_indexes = false) AS
        SELECT machine, time_bucket(%2$L::interval, bucket, "offset" => interval ''1 ms'') AS bucket, %4$s
        FROM %3$I GROUP BY 1, 2%5$s WITH NO DATA';
BEGIN
    EXECUTE format(aggregate, 'machine_1h_cagg', '1 hour', 'machine_1m_cagg', machine_merge, '');
    EXECUTE format(aggregate, 'machine_3h_cagg', '3 hours', 'machine_1h_cagg', machine_merge, '');
    EXECUTE format(aggregate, 'machine_1d_cagg', '1 day', 'machine_3h_cagg', machine_merge, '');
    EXECUTE format(aggregate, 'process_3h_cagg', '3 hours', 'process_1h_cagg', 'process, ' || process_merge, ', 3');
    EXECUTE format(aggregate, 'process_1d_cagg', '1 day', 'process_3h_cagg', 'process, ' || process_merge, ', 3');
    PERFORM set_config('snapwatch.machine_merge', machine_merge, true), -- used below
        set_config('snapwatch.process_merge', process_merge, true);
END $$;

CREATE INDEX machine_1m_cagg_by_machine ON machine_1m_cagg (machine, bucket);
CREATE INDEX machine_1h_cagg_by_machine ON machine_1h_cagg (machine, bucket);
CREATE INDEX machine_3h_cagg_by_machine ON machine_3h_cagg (machine, bucket);
CREATE INDEX machine_1d_cagg_by_machine ON machine_1d_cagg (machine, bucket);
CREATE INDEX process_1h_cagg_by_machine ON process_1h_cagg (machine, bucket);
CREATE INDEX process_3h_cagg_by_machine ON process_3h_cagg (machine, bucket);
CREATE INDEX process_1d_cagg_by_machine ON process_1d_cagg (machine, bucket);
CREATE INDEX process_1h_cagg_by_process ON process_1h_cagg (process, bucket);
CREATE INDEX process_3h_cagg_by_process ON process_3h_cagg (process, bucket);
CREATE INDEX process_1d_cagg_by_process ON process_1d_cagg (process, bucket);

ALTER MATERIALIZED VIEW machine_1m_cagg SET (timescaledb.compress, timescaledb.compress_segmentby = 'machine',
    timescaledb.compress_orderby = 'bucket');
ALTER MATERIALIZED VIEW machine_1h_cagg SET (timescaledb.compress, timescaledb.compress_segmentby = 'machine',
    timescaledb.compress_orderby = 'bucket');
ALTER MATERIALIZED VIEW machine_3h_cagg SET (timescaledb.compress, timescaledb.compress_segmentby = 'machine',
    timescaledb.compress_orderby = 'bucket');
ALTER MATERIALIZED VIEW machine_1d_cagg SET (timescaledb.compress, timescaledb.compress_segmentby = 'machine',
    timescaledb.compress_orderby = 'bucket');
ALTER MATERIALIZED VIEW process_1h_cagg SET (timescaledb.compress, timescaledb.compress_segmentby = 'machine',
    timescaledb.compress_orderby = 'process, bucket');
ALTER MATERIALIZED VIEW process_3h_cagg SET (timescaledb.compress, timescaledb.compress_segmentby = 'machine',
    timescaledb.compress_orderby = 'process, bucket');
ALTER MATERIALIZED VIEW process_1d_cagg SET (timescaledb.compress, timescaledb.compress_segmentby = 'machine',
    timescaledb.compress_orderby = 'process, bucket');

SELECT set_chunk_time_interval('machine_1m_cagg', INTERVAL '7 days');
SELECT set_chunk_time_interval('process_1h_cagg', INTERVAL '1 day');
SELECT set_chunk_time_interval('machine_1h_cagg', INTERVAL '30 days');
SELECT set_chunk_time_interval('process_3h_cagg', INTERVAL '7 days');
SELECT set_chunk_time_interval('machine_3h_cagg', INTERVAL '90 days');
SELECT set_chunk_time_interval('machine_1d_cagg', INTERVAL '90 days');
SELECT set_chunk_time_interval('process_1d_cagg', INTERVAL '30 days');

-- Copy the buckets of the earlier aggregates. Those whose series are kept are computed again by the next refresh. Until
-- then, they are readable. The last one is left to the view, because TimescaleDB before 2.28 refreshes it only after
-- the next one. memory_samples was the number of full snapshots, and there is one each minute.
DO $$
DECLARE
    machine_columns CONSTANT text := 'samples, interval_ms, process_count_sum, cpu_usage_avg, cpu_usage_max, load1_avg,
        load1_max, load5_avg, load15_avg, used_ram_avg, used_ram_max, available_ram_min, total_ram, used_swap_avg,
        used_swap_max, total_swap, used_disk_avg, used_disk_max, available_disk_min, total_disk, process_count_avg,
        process_count_max, read_bytes, write_bytes, received_bytes, sent_bytes, cpu_usage_ms, load1_ms, load5_ms,
        load15_ms, used_ram_ms, used_swap_ms, used_disk_ms, read_ms, write_ms, received_ms, sent_ms, buffers_ram_avg,
        cached_ram_avg, shared_ram_avg, slab_ram_avg, buffers_ram_ms, cached_ram_ms, shared_ram_ms, slab_ram_ms';
    process_columns CONSTANT text := 'process, cpu_us, cpu_us_max, memory_avg, memory_ms, memory_max, threads_max,
        read_bytes, write_bytes, first_ts, last_ts, elapsed_ms';
    level record;
    earlier regclass; -- materialization tables
    target regclass;
    source regclass;
    dropped timestamptz; -- the end of what was dropped of the source
    seam timestamptz; -- the same of the series
    complete timestamptz; -- from when the source can be computed from the series
    floors jsonb := '{}';
    first_bucket text;
    bucket_of_seam timestamptz;
    kept boolean;
BEGIN
    FOR level IN SELECT * FROM (VALUES
        ('machine_1m', 'snapshots', interval '1 minute'), ('machine_1h', 'machine_1m', '1 hour'),
        ('machine_3h', 'machine_1h', '3 hours'), ('machine_1d', 'machine_3h', '1 day'),
        ('process_1h', 'process_samples', '1 hour'), ('process_3h', 'process_1h', '3 hours'),
        ('process_1d', 'process_3h', '1 day')) v(name, source, width)
    LOOP
        source := level.source::regclass;
        SELECT format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name)::regclass
        INTO earlier FROM timescaledb_information.continuous_aggregates
        WHERE view_schema = current_schema() AND view_name = level.name;
        SELECT format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name)::regclass
        INTO target FROM timescaledb_information.continuous_aggregates
        WHERE view_schema = current_schema() AND view_name = level.name || '_cagg';
        IF level.source IN ('snapshots', 'process_samples') THEN
            complete := 'infinity';
        ELSE
            SELECT format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name)::regclass
            INTO source FROM timescaledb_information.continuous_aggregates
            WHERE view_schema = current_schema() AND view_name = level.source;
        END IF;

        -- Where there are buckets, but no chunk of their source, the source was dropped. Other holes had no data.
        EXECUTE format('WITH chunks AS (
                SELECT range_start, range_end FROM timescaledb_information.chunks
                WHERE format(''%%I.%%I'', hypertable_schema, hypertable_name)::regclass = $1),
            holes AS (
                SELECT coalesce(lag(range_end) OVER (ORDER BY range_start), ''-infinity'') AS a, range_start AS b
                FROM chunks
                UNION ALL
                SELECT coalesce(max(range_end), ''-infinity''), ''infinity'' FROM chunks)
            SELECT max(l.bucket) + $3 FROM holes CROSS JOIN LATERAL (
                SELECT bucket FROM %s WHERE bucket >= a AND bucket < least(b, $2) ORDER BY bucket DESC LIMIT 1) l
            WHERE a < b', earlier) INTO dropped USING source, complete, level.width;
        IF level.source IN ('snapshots', 'process_samples') THEN
            seam := dropped;
            SELECT coalesce(greatest(dropped, min(range_start)), 'infinity') INTO complete
            FROM timescaledb_information.chunks
            WHERE hypertable_schema = current_schema() AND hypertable_name = level.source;
        END IF;
        -- No refresh may change a bucket from before this: store/backend/floors.go.
        IF dropped IS NOT NULL THEN
            floors := floors || jsonb_build_object(level.source, dropped);
        END IF;

        IF level.name LIKE 'machine%' THEN
            EXECUTE format('INSERT INTO %1$s (machine, bucket, ' || machine_columns || ')
                SELECT machine, bucket + interval ''1 ms'',
                samples, interval_ms, round(process_count_avg * samples)::bigint, cpu_usage_avg, cpu_usage_max,
                load1_avg, load1_max, load5_avg, load15_avg, used_ram_avg, used_ram_max, available_ram_min, total_ram,
                used_swap_avg, used_swap_max, total_swap, used_disk_avg, used_disk_max, available_disk_min,
                total_disk, process_count_avg, process_count_max, read_bytes, write_bytes, received_bytes, sent_bytes,
                NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
                NULL, NULL
                FROM %2$s WHERE bucket < greatest($1, (SELECT max(bucket) FROM %2$s))', target, earlier) USING dropped;
        ELSE
            EXECUTE format('INSERT INTO %1$s (machine, bucket, ' || process_columns || ')
                SELECT machine, bucket + interval ''1 ms'', process,
                to_bigint(cpu_ms::numeric * 1000), to_bigint(cpu_ms_max::numeric * 1000), memory_avg,
                memory_samples * 60000, memory_max, threads_max, read_bytes, write_bytes, first_ts, last_ts, NULL
                FROM %2$s WHERE bucket < greatest($1, (SELECT max(bucket) FROM %2$s))', target, earlier) USING dropped;
        END IF;

        -- A refresh begins with the second bucket after the end of what was dropped. So compute the first one here.
        IF level.source IN ('snapshots', 'process_samples') AND seam + level.width <= now() THEN
            EXECUTE format('DELETE FROM %s WHERE bucket = $1', target) USING seam + interval '1 ms';
            SELECT format('INSERT INTO %1$s (machine, bucket, %2$s) SELECT machine, bucket, %2$s FROM (%3$s) d', target,
                CASE WHEN level.name LIKE 'machine%' THEN machine_columns ELSE process_columns END,
                replace(trim(trailing ';' FROM pg_get_viewdef(
                    format('%I.%I', direct_view_schema, direct_view_name)::regclass)), 'FROM ' || level.source,
                    format('FROM (SELECT * FROM %1$I WHERE ts > $1 AND ts <= $2) %1$I', level.source)))
            INTO first_bucket FROM _timescaledb_catalog.continuous_agg
            WHERE user_view_schema = current_schema() AND user_view_name = level.name || '_cagg';
            EXECUTE first_bucket USING seam, seam + level.width;
        END IF;

        -- A snapshot at the end of what was dropped was in the bucket after it, and is now in the bucket before it.
        -- That one is not computed again, so the snapshot is added to it.
        bucket_of_seam := seam - level.width + interval '1 ms';
        EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE bucket = $1)', target) INTO kept USING bucket_of_seam;
        kept := kept AND seam = date_bin(level.width, seam, '2000-01-01 00:00:00+00');
        IF kept AND level.name LIKE 'machine%' THEN
            EXECUTE format('WITH before AS (
                    DELETE FROM %1$s t USING snapshots s
                    WHERE s.ts = $1 AND t.machine = s.machine AND t.bucket = $2 RETURNING t.*)
                INSERT INTO %1$s (machine, bucket, %2$s)
                SELECT machine, bucket, %3$s FROM (
                    SELECT machine, bucket, %2$s FROM before
                    UNION ALL
                    SELECT machine, $2, 1, interval_ms, process_count, cpu_usage, cpu_usage, load1, load1, load5,
                        load15, used_ram, used_ram, available_ram, total_ram, used_swap, used_swap, total_swap,
                        used_disk, used_disk, available_disk, total_disk, process_count, process_count, read_bytes,
                        write_bytes, received_bytes, sent_bytes, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
                        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
                    FROM snapshots WHERE ts = $1) r
                GROUP BY machine, bucket', target, machine_columns, current_setting('snapwatch.machine_merge'))
            USING seam, bucket_of_seam;
        ELSIF kept THEN
            EXECUTE format('WITH before AS (
                    DELETE FROM %1$s t USING process_samples s
                    WHERE s.ts = $1 AND s.state IS DISTINCT FROM ''exited'' AND t.machine = s.machine
                        AND t.process = s.process AND t.bucket = $2 RETURNING t.*)
                INSERT INTO %1$s (machine, bucket, %2$s)
                SELECT machine, bucket, process, %3$s FROM (
                    SELECT machine, bucket, %2$s FROM before
                    UNION ALL
                    SELECT machine, $2, process, cpu_ms * 1000, cpu_ms * 1000, memory_usage, NULL, memory_usage,
                        threads, read_bytes, write_bytes, ts, ts, NULL
                    FROM process_samples WHERE ts = $1 AND state IS DISTINCT FROM ''exited'') r
                GROUP BY machine, bucket, process', target, process_columns, current_setting('snapwatch.process_merge'))
            USING seam, bucket_of_seam;
        END IF;

        -- This drops nothing. It makes what was copied part of the aggregate: it sets the time up to which that is
        -- materialized.
        PERFORM drop_chunks(format('%I', level.name || '_cagg')::regclass, older_than => timestamptz '0001-01-01');
    END LOOP;
    IF floors <> '{}' THEN
        INSERT INTO settings (key, value) VALUES ('complete_from', floors::text)
        ON CONFLICT (key) DO UPDATE SET value = excluded.value;
    END IF;
END $$;

DROP MATERIALIZED VIEW process_1d;
DROP MATERIALIZED VIEW process_3h;
DROP MATERIALIZED VIEW process_1h;
DROP MATERIALIZED VIEW machine_1d;
DROP MATERIALIZED VIEW machine_3h;
DROP MATERIALIZED VIEW machine_1h;
DROP MATERIALIZED VIEW machine_1m;

-- The jobs of these aggregates are gone. The server creates all policies again.
SELECT remove_compression_policy(relation, if_exists => true), remove_retention_policy(relation, if_exists => true)
FROM unnest(ARRAY['snapshots', 'process_samples', 'disk_samples', 'net_samples']::regclass[]) relation;
DELETE FROM settings WHERE key = 'policies';

CREATE VIEW machine_1m AS
    SELECT machine, bucket - interval '1 ms' AS bucket, samples, interval_ms, process_count_sum, cpu_usage_avg,
    cpu_usage_max, load1_avg, load1_max, load5_avg, load15_avg, used_ram_avg, used_ram_max, available_ram_min,
    total_ram, used_swap_avg, used_swap_max, total_swap, used_disk_avg, used_disk_max, available_disk_min, total_disk,
    process_count_avg, process_count_max, read_bytes, write_bytes, received_bytes, sent_bytes, cpu_usage_ms, load1_ms,
    load5_ms, load15_ms, used_ram_ms, used_swap_ms, used_disk_ms, read_ms, write_ms, received_ms, sent_ms,
    buffers_ram_avg, cached_ram_avg, shared_ram_avg, slab_ram_avg, buffers_ram_ms, cached_ram_ms, shared_ram_ms,
    slab_ram_ms, bucket AS bucket_key
    FROM machine_1m_cagg;
CREATE VIEW machine_1h AS
    SELECT machine, bucket - interval '1 ms' AS bucket, samples, interval_ms, process_count_sum, cpu_usage_avg,
    cpu_usage_max, load1_avg, load1_max, load5_avg, load15_avg, used_ram_avg, used_ram_max, available_ram_min,
    total_ram, used_swap_avg, used_swap_max, total_swap, used_disk_avg, used_disk_max, available_disk_min, total_disk,
    process_count_avg, process_count_max, read_bytes, write_bytes, received_bytes, sent_bytes, cpu_usage_ms, load1_ms,
    load5_ms, load15_ms, used_ram_ms, used_swap_ms, used_disk_ms, read_ms, write_ms, received_ms, sent_ms,
    buffers_ram_avg, cached_ram_avg, shared_ram_avg, slab_ram_avg, buffers_ram_ms, cached_ram_ms, shared_ram_ms,
    slab_ram_ms, bucket AS bucket_key
    FROM machine_1h_cagg;
CREATE VIEW machine_3h AS
    SELECT machine, bucket - interval '1 ms' AS bucket, samples, interval_ms, process_count_sum, cpu_usage_avg,
    cpu_usage_max, load1_avg, load1_max, load5_avg, load15_avg, used_ram_avg, used_ram_max, available_ram_min,
    total_ram, used_swap_avg, used_swap_max, total_swap, used_disk_avg, used_disk_max, available_disk_min, total_disk,
    process_count_avg, process_count_max, read_bytes, write_bytes, received_bytes, sent_bytes, cpu_usage_ms, load1_ms,
    load5_ms, load15_ms, used_ram_ms, used_swap_ms, used_disk_ms, read_ms, write_ms, received_ms, sent_ms,
    buffers_ram_avg, cached_ram_avg, shared_ram_avg, slab_ram_avg, buffers_ram_ms, cached_ram_ms, shared_ram_ms,
    slab_ram_ms, bucket AS bucket_key
    FROM machine_3h_cagg;
CREATE VIEW machine_1d AS
    SELECT machine, bucket - interval '1 ms' AS bucket, samples, interval_ms, process_count_sum, cpu_usage_avg,
    cpu_usage_max, load1_avg, load1_max, load5_avg, load15_avg, used_ram_avg, used_ram_max, available_ram_min,
    total_ram, used_swap_avg, used_swap_max, total_swap, used_disk_avg, used_disk_max, available_disk_min, total_disk,
    process_count_avg, process_count_max, read_bytes, write_bytes, received_bytes, sent_bytes, cpu_usage_ms, load1_ms,
    load5_ms, load15_ms, used_ram_ms, used_swap_ms, used_disk_ms, read_ms, write_ms, received_ms, sent_ms,
    buffers_ram_avg, cached_ram_avg, shared_ram_avg, slab_ram_avg, buffers_ram_ms, cached_ram_ms, shared_ram_ms,
    slab_ram_ms, bucket AS bucket_key
    FROM machine_1d_cagg;

-- The aggregates of processes lack the time since the last row of each process, until the last snapshot of its hour has
-- a row of every process. So the views compute the hour of a machine's last snapshot from the samples. After a day at
-- the most, an hour is read from the aggregate in any case: retention may have removed its samples.
CREATE VIEW open_1h AS
    SELECT id AS machine, date_bin('1 hour', last_snapshot - interval '1 ms', '2000-01-01 00:00:00+00') AS bucket
    FROM machines WHERE closed_snapshot IS DISTINCT FROM last_snapshot AND last_snapshot > now() - interval '24 hours';
CREATE VIEW open_3h AS
    SELECT machine, date_bin('3 hours', bucket, '2000-01-01 00:00:00+00') AS bucket FROM open_1h;
CREATE VIEW open_1d AS
    SELECT machine, date_bin('1 day', bucket, '2000-01-01 00:00:00+00') AS bucket FROM open_1h;
COMMENT ON VIEW open_1h IS 'hours whose last snapshot has no row of every process yet';

-- In PL/pgSQL, because the planner would otherwise plan these parts of the views for every read, which takes longer
-- than most reads.
CREATE FUNCTION process_hour(m integer, a timestamptz) RETURNS TABLE (
    machine integer, bucket timestamptz, process bigint, cpu_us bigint, cpu_us_max bigint, memory_avg double
    precision, memory_ms bigint, memory_max bigint, threads_max integer, read_bytes bigint, write_bytes bigint,
    first_ts timestamptz, last_ts timestamptz, elapsed_ms bigint
) LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY SELECT m, a, process,
        cpu_us, cpu_us_max, memory_avg, memory_ms, memory_max, threads_max, read_bytes, write_bytes, first_ts,
        last_ts, elapsed_ms
    FROM process_window(m, a, a + interval '1 hour', NULL, false);
END $$;

CREATE VIEW process_1h AS
    SELECT machine, bucket - interval '1 ms' AS bucket, process,
        cpu_us, cpu_us_max, memory_avg, memory_ms, memory_max, threads_max, read_bytes, write_bytes, first_ts,
        last_ts, elapsed_ms,
        bucket AS bucket_key, cpu_us / 1000::double precision AS cpu_ms,
        cpu_us_max / 1000::double precision AS cpu_ms_max
    FROM process_1h_cagg c
    WHERE NOT EXISTS (SELECT FROM open_1h k
        WHERE k.machine = c.machine AND c.bucket = k.bucket + interval '1 ms')
    UNION ALL
    SELECT k.machine, k.bucket, h.process, h.cpu_us, h.cpu_us_max, h.memory_avg, h.memory_ms, h.memory_max,
        h.threads_max, h.read_bytes, h.write_bytes, h.first_ts, h.last_ts, h.elapsed_ms, k.bucket + interval '1 ms',
        h.cpu_us / 1000::double precision, h.cpu_us_max / 1000::double precision
    FROM open_1h k CROSS JOIN LATERAL process_hour(k.machine, k.bucket) h;

CREATE FUNCTION process_merge(m integer, a timestamptz, width interval) RETURNS TABLE (
    machine integer, bucket timestamptz, process bigint, cpu_us bigint, cpu_us_max bigint, memory_avg double
    precision, memory_ms bigint, memory_max bigint, threads_max integer, read_bytes bigint, write_bytes bigint,
    first_ts timestamptz, last_ts timestamptz, elapsed_ms bigint
) LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY SELECT m, a, process,
        to_bigint(sum(cpu_us)),
        max(cpu_us_max),
        coalesce(sum(memory_avg * coalesce(memory_ms, elapsed_ms,
            (extract(epoch FROM last_ts - first_ts) * 1000)::bigint + 60000)) / nullif(sum(coalesce(memory_ms,
            elapsed_ms, (extract(epoch FROM last_ts - first_ts) * 1000)::bigint + 60000))
            FILTER (WHERE memory_avg IS NOT NULL), 0)::double precision, avg(memory_avg)),
        nullif(sum(coalesce(memory_ms, elapsed_ms,
            (extract(epoch FROM last_ts - first_ts) * 1000)::bigint + 60000)) FILTER (WHERE memory_avg IS NOT NULL),
            sum(elapsed_ms))::bigint,
        max(memory_max),
        max(threads_max),
        to_bigint(sum(read_bytes)),
        to_bigint(sum(write_bytes)),
        min(first_ts),
        max(last_ts),
        CASE WHEN count(*) = count(elapsed_ms) THEN sum(elapsed_ms)::bigint END
    FROM process_1h WHERE machine = m AND bucket_key >= a AND bucket_key < a + width GROUP BY process;
END $$;

CREATE VIEW process_3h AS
    SELECT machine, bucket - interval '1 ms' AS bucket, process,
        cpu_us, cpu_us_max, memory_avg, memory_ms, memory_max, threads_max, read_bytes, write_bytes, first_ts,
        last_ts, elapsed_ms,
        bucket AS bucket_key, cpu_us / 1000::double precision AS cpu_ms,
        cpu_us_max / 1000::double precision AS cpu_ms_max
    FROM process_3h_cagg c
    WHERE NOT EXISTS (SELECT FROM open_3h k
        WHERE k.machine = c.machine AND c.bucket = k.bucket + interval '1 ms')
    UNION ALL
    SELECT k.machine, k.bucket, h.process, h.cpu_us, h.cpu_us_max, h.memory_avg, h.memory_ms, h.memory_max,
        h.threads_max, h.read_bytes, h.write_bytes, h.first_ts, h.last_ts, h.elapsed_ms, k.bucket + interval '1 ms',
        h.cpu_us / 1000::double precision, h.cpu_us_max / 1000::double precision
    FROM open_3h k CROSS JOIN LATERAL process_merge(k.machine, k.bucket, '3 hours') h;
CREATE VIEW process_1d AS
    SELECT machine, bucket - interval '1 ms' AS bucket, process,
        cpu_us, cpu_us_max, memory_avg, memory_ms, memory_max, threads_max, read_bytes, write_bytes, first_ts,
        last_ts, elapsed_ms,
        bucket AS bucket_key, cpu_us / 1000::double precision AS cpu_ms,
        cpu_us_max / 1000::double precision AS cpu_ms_max
    FROM process_1d_cagg c
    WHERE NOT EXISTS (SELECT FROM open_1d k
        WHERE k.machine = c.machine AND c.bucket = k.bucket + interval '1 ms')
    UNION ALL
    SELECT k.machine, k.bucket, h.process, h.cpu_us, h.cpu_us_max, h.memory_avg, h.memory_ms, h.memory_max,
        h.threads_max, h.read_bytes, h.write_bytes, h.first_ts, h.last_ts, h.elapsed_ms, k.bucket + interval '1 ms',
        h.cpu_us / 1000::double precision, h.cpu_us_max / 1000::double precision
    FROM open_1d k CROSS JOIN LATERAL process_merge(k.machine, k.bucket, '24 hours') h;

-- The same for readers, who have no access to the tables. These functions have the privileges of their owner.
CREATE FUNCTION history.process_hour(m integer, a timestamptz) RETURNS TABLE (
    machine integer, bucket timestamptz, process bigint, cpu_us bigint, cpu_us_max bigint, memory_avg double
    precision, memory_ms bigint, memory_max bigint, threads_max integer, read_bytes bigint, write_bytes bigint,
    first_ts timestamptz, last_ts timestamptz, elapsed_ms bigint
) LANGUAGE sql STABLE SECURITY DEFINER AS $$ SELECT * FROM process_hour(m, a) $$;
CREATE FUNCTION history.process_merge(m integer, a timestamptz, width interval) RETURNS TABLE (
    machine integer, bucket timestamptz, process bigint, cpu_us bigint, cpu_us_max bigint, memory_avg double
    precision, memory_ms bigint, memory_max bigint, threads_max integer, read_bytes bigint, write_bytes bigint,
    first_ts timestamptz, last_ts timestamptz, elapsed_ms bigint
) LANGUAGE sql STABLE SECURITY DEFINER AS $$ SELECT * FROM process_merge(m, a, width) $$;
DO $$
DECLARE
    f regprocedure;
BEGIN
    FOR f IN SELECT p.oid FROM pg_proc p WHERE p.pronamespace = 'history'::regnamespace LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', f, current_schema());
    END LOOP;
END $$;

CREATE VIEW history.machine_1m AS SELECT * FROM machine_1m;
CREATE VIEW history.machine_1h AS SELECT * FROM machine_1h;
CREATE VIEW history.machine_3h AS SELECT * FROM machine_3h;
CREATE VIEW history.machine_1d AS SELECT * FROM machine_1d;
CREATE VIEW history.process_1h AS
    SELECT machine, bucket - interval '1 ms' AS bucket, process,
        cpu_us, cpu_us_max, memory_avg, memory_ms, memory_max, threads_max, read_bytes, write_bytes, first_ts,
        last_ts, elapsed_ms,
        bucket AS bucket_key, cpu_us / 1000::double precision AS cpu_ms,
        cpu_us_max / 1000::double precision AS cpu_ms_max
    FROM process_1h_cagg c
    WHERE NOT EXISTS (SELECT FROM open_1h k
        WHERE k.machine = c.machine AND c.bucket = k.bucket + interval '1 ms')
    UNION ALL
    SELECT k.machine, k.bucket, h.process, h.cpu_us, h.cpu_us_max, h.memory_avg, h.memory_ms, h.memory_max,
        h.threads_max, h.read_bytes, h.write_bytes, h.first_ts, h.last_ts, h.elapsed_ms, k.bucket + interval '1 ms',
        h.cpu_us / 1000::double precision, h.cpu_us_max / 1000::double precision
    FROM open_1h k CROSS JOIN LATERAL history.process_hour(k.machine, k.bucket) h;
CREATE VIEW history.process_3h AS
    SELECT machine, bucket - interval '1 ms' AS bucket, process,
        cpu_us, cpu_us_max, memory_avg, memory_ms, memory_max, threads_max, read_bytes, write_bytes, first_ts,
        last_ts, elapsed_ms,
        bucket AS bucket_key, cpu_us / 1000::double precision AS cpu_ms,
        cpu_us_max / 1000::double precision AS cpu_ms_max
    FROM process_3h_cagg c
    WHERE NOT EXISTS (SELECT FROM open_3h k
        WHERE k.machine = c.machine AND c.bucket = k.bucket + interval '1 ms')
    UNION ALL
    SELECT k.machine, k.bucket, h.process, h.cpu_us, h.cpu_us_max, h.memory_avg, h.memory_ms, h.memory_max,
        h.threads_max, h.read_bytes, h.write_bytes, h.first_ts, h.last_ts, h.elapsed_ms, k.bucket + interval '1 ms',
        h.cpu_us / 1000::double precision, h.cpu_us_max / 1000::double precision
    FROM open_3h k CROSS JOIN LATERAL history.process_merge(k.machine, k.bucket, '3 hours') h;
CREATE VIEW history.process_1d AS
    SELECT machine, bucket - interval '1 ms' AS bucket, process,
        cpu_us, cpu_us_max, memory_avg, memory_ms, memory_max, threads_max, read_bytes, write_bytes, first_ts,
        last_ts, elapsed_ms,
        bucket AS bucket_key, cpu_us / 1000::double precision AS cpu_ms,
        cpu_us_max / 1000::double precision AS cpu_ms_max
    FROM process_1d_cagg c
    WHERE NOT EXISTS (SELECT FROM open_1d k
        WHERE k.machine = c.machine AND c.bucket = k.bucket + interval '1 ms')
    UNION ALL
    SELECT k.machine, k.bucket, h.process, h.cpu_us, h.cpu_us_max, h.memory_avg, h.memory_ms, h.memory_max,
        h.threads_max, h.read_bytes, h.write_bytes, h.first_ts, h.last_ts, h.elapsed_ms, k.bucket + interval '1 ms',
        h.cpu_us / 1000::double precision, h.cpu_us_max / 1000::double precision
    FROM open_1d k CROSS JOIN LATERAL history.process_merge(k.machine, k.bucket, '24 hours') h;
