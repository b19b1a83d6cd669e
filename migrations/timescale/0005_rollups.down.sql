-- Decompress the chunks, so that the columns of the series can change and their rows are
-- kept.

DROP MATERIALIZED VIEW process_1d;
DROP MATERIALIZED VIEW process_3h;
DROP MATERIALIZED VIEW process_1h;
DROP MATERIALIZED VIEW machine_1d;
DROP MATERIALIZED VIEW machine_3h;
DROP MATERIALIZED VIEW machine_1h;
DROP MATERIALIZED VIEW machine_1m;

SELECT remove_compression_policy(relation, if_exists => true), remove_retention_policy(relation, if_exists => true)
FROM unnest(ARRAY['snapshots', 'process_samples', 'disk_samples', 'net_samples']::regclass[]) relation;

SELECT decompress_chunk(chunk, true)
FROM unnest(ARRAY['snapshots', 'process_samples', 'disk_samples', 'net_samples']::regclass[]) relation, show_chunks(relation) chunk;

ALTER TABLE snapshots SET (timescaledb.compress = false);
ALTER TABLE process_samples SET (timescaledb.compress = false);
ALTER TABLE disk_samples SET (timescaledb.compress = false);
ALTER TABLE net_samples SET (timescaledb.compress = false);
