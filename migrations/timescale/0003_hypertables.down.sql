-- Converts the series back to plain tables and keeps the rows.

DELETE FROM settings WHERE key = 'profile';

CREATE TABLE snapshots_plain (LIKE snapshots INCLUDING ALL);
INSERT INTO snapshots_plain SELECT * FROM snapshots;
DROP TABLE snapshots;
ALTER TABLE snapshots_plain RENAME TO snapshots;

CREATE TABLE process_samples_plain (LIKE process_samples INCLUDING ALL);
INSERT INTO process_samples_plain SELECT * FROM process_samples;
DROP TABLE process_samples;
ALTER TABLE process_samples_plain RENAME TO process_samples;

CREATE TABLE disk_samples_plain (LIKE disk_samples INCLUDING ALL);
INSERT INTO disk_samples_plain SELECT * FROM disk_samples;
DROP TABLE disk_samples;
ALTER TABLE disk_samples_plain RENAME TO disk_samples;

CREATE TABLE net_samples_plain (LIKE net_samples INCLUDING ALL);
INSERT INTO net_samples_plain SELECT * FROM net_samples;
DROP TABLE net_samples;
ALTER TABLE net_samples_plain RENAME TO net_samples;
