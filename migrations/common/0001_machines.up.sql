-- Machines and processes. These tables are the same in both storage profiles.

CREATE TABLE settings (
    key   text PRIMARY KEY,
    value text NOT NULL
);
COMMENT ON TABLE settings IS 'facts about this database itself, such as its storage profile';

CREATE TABLE machines (
    id               integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    machine_id       text NOT NULL UNIQUE,
    hostname         text NOT NULL DEFAULT '',
    os               text NOT NULL DEFAULT '',
    platform         text NOT NULL DEFAULT '',
    kernel           text NOT NULL DEFAULT '',
    architecture     text NOT NULL DEFAULT '',
    cpu_model        text NOT NULL DEFAULT '',
    cpu_count        integer NOT NULL DEFAULT 0,
    total_ram        bigint NOT NULL DEFAULT 0,
    agent_version    text NOT NULL DEFAULT '',
    enabled          boolean NOT NULL DEFAULT true,
    polling_interval double precision NOT NULL DEFAULT 5 CHECK (polling_interval BETWEEN 0.5 AND 3600),
    config_version   bigint NOT NULL DEFAULT 1,
    registered_at    timestamptz NOT NULL,
    last_seen        timestamptz NOT NULL,
    last_snapshot    timestamptz
) WITH (fillfactor = 60); -- every post updates last_seen and last_snapshot: leave room for HOT updates
CREATE INDEX machines_by_hostname ON machines (hostname, machine_id);
COMMENT ON COLUMN machines.id IS 'the small key that samples carry; machine_id is the agent''s own, stable id';
COMMENT ON COLUMN machines.polling_interval IS 'seconds between two snapshots';

-- One row per identity of a process. A process that calls exec or gets a new parent
-- has another row with the same (machine, pid, started_at).
CREATE TABLE processes (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    machine      integer NOT NULL,
    pid          integer NOT NULL,
    ppid         integer NOT NULL,
    identity     bigint NOT NULL,
    started_at   timestamptz,
    last_day     date NOT NULL,
    name         text NOT NULL,
    command_line text NOT NULL,
    user_name    text NOT NULL,
    UNIQUE NULLS NOT DISTINCT (machine, pid, identity, started_at)
);
COMMENT ON COLUMN processes.identity IS 'hash of ppid, name, command_line and user_name';
COMMENT ON COLUMN processes.last_day IS 'the last day (UTC) with a sample, for retention';

-- Deleted machines whose rows are not deleted yet; see store.Maintain.
CREATE TABLE machine_deletions (
    machine    integer PRIMARY KEY,
    deleted_at timestamptz NOT NULL
);
