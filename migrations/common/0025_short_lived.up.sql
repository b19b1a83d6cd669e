-- Short-lived processes: those that started and ended between two snapshots, so that they are in no process list. They
-- have a series of their own, which refers to texts that are stored once per machine. The next migration creates it.

-- Texts and identities are found by a hash with this key. Without a secret, a user of a machine could make two command
-- lines with one hash. The second one would be stored as the first. Identities that are stored already keep their
-- hashes, so a process that runs at the upgrade gets another row.
INSERT INTO settings (key, value) VALUES ('text_hash_key', gen_random_uuid()::text || gen_random_uuid()::text);
COMMENT ON COLUMN processes.identity IS
    'hash of ppid, name, command_line, user_name and cgroup with the key text_hash_key of settings';

CREATE TABLE commands (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash         bigint NOT NULL,
    machine      integer NOT NULL,
    last_day     date NOT NULL,
    has_vars     boolean NOT NULL,
    name         text NOT NULL,
    command_line text NOT NULL,
    UNIQUE (machine, hash)
);
CREATE INDEX commands_by_name ON commands (name, machine);
CREATE INDEX commands_by_last_day ON commands USING brin (last_day) WITH (pages_per_range = 32);
COMMENT ON TABLE commands IS 'names and command lines of short-lived processes, without the parts that vary';
COMMENT ON COLUMN commands.hash IS 'hash of name, command_line and has_vars with the key text_hash_key of settings';
COMMENT ON COLUMN commands.last_day IS 'last day (UTC) with a process of this text, or later; used by retention';
COMMENT ON COLUMN commands.has_vars IS 'whether command_line is a template; otherwise it is the text itself';
COMMENT ON COLUMN commands.command_line IS
    'a template has %s for each part that varies, and %% for %: the command line of a process is
format(command_line, VARIADIC string_to_array(short_lived.vars, '' ''))';

CREATE TABLE owners (
    id        integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    machine   integer NOT NULL,
    hash      bigint NOT NULL,
    last_day  date NOT NULL,
    user_name text NOT NULL,
    cgroup    text NOT NULL,
    UNIQUE (machine, hash)
);
CREATE INDEX owners_by_last_day ON owners USING brin (last_day) WITH (pages_per_range = 32);
COMMENT ON TABLE owners IS 'users and control groups of short-lived processes';
COMMENT ON COLUMN owners.hash IS 'hash of user_name and cgroup, as commands.hash';
COMMENT ON COLUMN owners.last_day IS 'last day (UTC) with a process of this user and control group, or later';

ALTER TABLE snapshots ADD COLUMN short_lived integer, ADD COLUMN short_lived_cpu_us bigint,
    ADD COLUMN short_lived_unknown_cpu integer;
COMMENT ON COLUMN snapshots.short_lived IS
    'number of processes of this snapshot in the series of short-lived processes; null if there are none';
COMMENT ON COLUMN snapshots.short_lived_cpu_us IS
    'CPU time of those processes in microseconds, without the unknown ones; null if all are unknown';
COMMENT ON COLUMN snapshots.short_lived_unknown_cpu IS
    'number of those processes whose CPU time is unknown; null if there are none';
CREATE OR REPLACE VIEW history.snapshots AS SELECT * FROM snapshots;

-- Adds amounts. Each may be unknown. Like to_bigint, it does not fail if the sum is too large.
CREATE FUNCTION add_amounts(a bigint, b bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN a > 9223372036854775807 - b THEN 9223372036854775807 ELSE coalesce(a + b, a, b) END
$$;
COMMENT ON FUNCTION add_amounts IS
    'the sum of two amounts that are not negative, without an unknown one, or the largest bigint if it is larger';
