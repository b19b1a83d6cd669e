-- The postgres profile: each series becomes a table that is partitioned by day. The
-- server creates the partitions in advance, and drops them.

ALTER TABLE snapshots RENAME TO snapshots_plain;
CREATE TABLE snapshots (LIKE snapshots_plain INCLUDING ALL) PARTITION BY RANGE (ts);
DROP TABLE snapshots_plain;

ALTER TABLE process_samples RENAME TO process_samples_plain;
CREATE TABLE process_samples (LIKE process_samples_plain INCLUDING ALL) PARTITION BY RANGE (ts);
DROP TABLE process_samples_plain;

ALTER TABLE disk_samples RENAME TO disk_samples_plain;
CREATE TABLE disk_samples (LIKE disk_samples_plain INCLUDING ALL) PARTITION BY RANGE (ts);
DROP TABLE disk_samples_plain;

ALTER TABLE net_samples RENAME TO net_samples_plain;
CREATE TABLE net_samples (LIKE net_samples_plain INCLUDING ALL) PARTITION BY RANGE (ts);
DROP TABLE net_samples_plain;

INSERT INTO settings (key, value) VALUES ('profile', 'postgres');
