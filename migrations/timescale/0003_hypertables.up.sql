-- The timescale profile: each series becomes a hypertable. The server fits the
-- chunks' interval to the rate at which data comes in; a day is where it begins.

SELECT create_hypertable('snapshots', by_range('ts', INTERVAL '1 day'), create_default_indexes => false);
SELECT create_hypertable('process_samples', by_range('ts', INTERVAL '1 day'), create_default_indexes => false);
SELECT create_hypertable('disk_samples', by_range('ts', INTERVAL '1 day'), create_default_indexes => false);
SELECT create_hypertable('net_samples', by_range('ts', INTERVAL '1 day'), create_default_indexes => false);

INSERT INTO settings (key, value) VALUES ('profile', 'timescale');
