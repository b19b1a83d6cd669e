DROP TABLE machine_sources;
ALTER TABLE machines
    DROP COLUMN own_processes_only, DROP COLUMN source, DROP COLUMN turns, DROP COLUMN turns_since,
    DROP COLUMN turned_at;
