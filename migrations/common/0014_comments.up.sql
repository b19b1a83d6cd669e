-- Rewrites the comments of earlier migrations in plain English. They are shown by \d+ in psql.

COMMENT ON SCHEMA history IS 'views and functions for read-only roles: the history of every machine, without accounts and tokens';
COMMENT ON TABLE settings IS 'properties of this database, such as its storage profile';

COMMENT ON COLUMN machines.id IS 'short key used by all other tables; machine_id is the stable ID that the agent sends';
COMMENT ON COLUMN machines.include IS 'names of the only processes to record; * matches any text; empty: all processes';
COMMENT ON COLUMN machines.exclude IS 'names of processes that the agent does not record; * matches any text';
COMMENT ON COLUMN machines.tags IS 'a user can view machines that have one of the tags granted to the user';

COMMENT ON COLUMN processes.cgroup IS 'path of the control group: the service or container of the process';
COMMENT ON COLUMN processes.identity IS 'hash of ppid, name, command_line, user_name and, if there is one, cgroup';
COMMENT ON COLUMN processes.last_day IS 'last day (UTC) with a sample; used by retention';

COMMENT ON TABLE snapshots IS 'one row per machine and instant; the primary key rejects duplicates';
COMMENT ON COLUMN snapshots.full_ts IS 'timestamp of the full snapshot that this one depends on; equal to ts for a full snapshot';
COMMENT ON COLUMN snapshots.interval_ms IS 'interval that cpu_ms and the byte counts cover, in milliseconds';
COMMENT ON COLUMN snapshots.read_bytes IS 'bytes read from all disks in the interval';
COMMENT ON COLUMN snapshots.received_bytes IS 'bytes received by all interfaces except loopback in the interval';
COMMENT ON COLUMN snapshots.cpu_user IS 'percent of all cores, as for the other CPU columns; agents round to 0.25';
COMMENT ON COLUMN snapshots.unseen_processes IS 'upper bound on the processes and threads that started and ended since the previous snapshot and are in no snapshot';
COMMENT ON COLUMN snapshots.dropped_snapshots IS 'earlier snapshots that the agent took and had to drop';
COMMENT ON COLUMN snapshots.clock_jump_ms IS 'change of the machine''s clock since the previous snapshot, in milliseconds';

COMMENT ON TABLE process_samples IS 'a full snapshot has a row for every process, other snapshots only for processes that changed; a process without a row used nothing and kept its values';
COMMENT ON COLUMN process_samples.state IS 'one letter as in ps; ''X'': ended in the interval, with its usage up to then; ''exited'': gone, without further usage';
COMMENT ON COLUMN process_samples.in_full IS 'whether the row belongs to a full snapshot';
COMMENT ON COLUMN process_samples.hour IS 'hours since 1970-01-01 UTC; compressed segments are sorted by it first';

COMMENT ON VIEW process_history IS 'usage of every process in each hour';
COMMENT ON VIEW machine_history IS 'system metrics of every machine in each minute';
COMMENT ON FUNCTION process_at IS 'every process of a machine, given by its ID or host name, at an instant';
COMMENT ON FUNCTION process_top IS 'usage of each process of a machine in a window of whole hours, highest CPU usage first';

COMMENT ON COLUMN users.tags IS 'tags of the machines that the user can view; * is every machine';
COMMENT ON COLUMN users.password_hash IS 'argon2id with its parameters; null for users who sign in with OpenID Connect';
COMMENT ON COLUMN users.totp_step IS 'time step of the last accepted one-time code; no code is accepted twice';
COMMENT ON COLUMN users.preferences IS 'display preferences of the user in the web interface';
COMMENT ON COLUMN tokens.tags IS 'agent token: initial tags of its machine; user token: tags of the machines it can view';
COMMENT ON COLUMN tokens.scopes IS 'permissions that the token is limited to; null: all permissions of its role';
COMMENT ON COLUMN tokens.replaces IS 'token that is revoked when this one is first used';
COMMENT ON COLUMN enrolment_keys.takes_over IS 'whether the key can give a new token to a machine that already has one';
