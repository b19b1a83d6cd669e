DROP INDEX processes_by_last_day;
DROP INDEX processes_by_name;
ALTER TABLE snapshots DROP COLUMN read_bytes, DROP COLUMN write_bytes, DROP COLUMN received_bytes, DROP COLUMN sent_bytes;
ALTER TABLE process_samples DROP COLUMN in_full, DROP COLUMN hour;
