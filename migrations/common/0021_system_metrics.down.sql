DROP VIEW history.snapshots, history.disk_samples, history.net_samples;
ALTER TABLE snapshots DROP COLUMN fullest_disk_usage, DROP COLUMN fullest_disk, DROP COLUMN stale;
ALTER TABLE disk_samples DROP COLUMN available, DROP COLUMN fs_type, DROP COLUMN read_only;
ALTER TABLE net_samples DROP COLUMN in_total;
COMMENT ON COLUMN snapshots.used_ram IS NULL;
COMMENT ON COLUMN snapshots.received_bytes IS 'bytes received by all interfaces except loopback in the interval';
CREATE VIEW history.snapshots AS SELECT * FROM snapshots;
CREATE VIEW history.disk_samples AS SELECT * FROM disk_samples;
CREATE VIEW history.net_samples AS SELECT * FROM net_samples;
