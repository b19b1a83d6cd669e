-- The timescale profile: each series becomes a hypertable. The chunk interval starts with
-- a day. The server adjusts it to the ingest rate.

SELECT create_hypertable('snapshots', by_range('ts', INTERVAL '1 day'), create_default_indexes => false);
SELECT create_hypertable('process_samples', by_range('ts', INTERVAL '1 day'), create_default_indexes => false);
SELECT create_hypertable('disk_samples', by_range('ts', INTERVAL '1 day'), create_default_indexes => false);
SELECT create_hypertable('net_samples', by_range('ts', INTERVAL '1 day'), create_default_indexes => false);

INSERT INTO settings (key, value) VALUES ('profile', 'timescale');
