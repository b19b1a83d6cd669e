DROP FUNCTION add_amounts;
DROP VIEW history.snapshots;
ALTER TABLE snapshots DROP COLUMN short_lived, DROP COLUMN short_lived_cpu_us, DROP COLUMN short_lived_unknown_cpu;
CREATE VIEW history.snapshots AS SELECT * FROM snapshots;
DROP TABLE owners, commands;
DELETE FROM settings WHERE key = 'text_hash_key';
COMMENT ON COLUMN processes.identity IS 'hash of ppid, name, command_line, user_name and, if there is one, cgroup';
