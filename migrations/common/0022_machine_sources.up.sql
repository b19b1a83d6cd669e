-- The agents that post as a machine. If several do so in turns, their state directory was copied.

ALTER TABLE machines
    ADD COLUMN own_processes_only boolean NOT NULL DEFAULT false,
    ADD COLUMN source text NOT NULL DEFAULT '',
    ADD COLUMN turns integer NOT NULL DEFAULT 0,
    ADD COLUMN turns_since timestamptz,
    ADD COLUMN turned_at timestamptz;
COMMENT ON COLUMN machines.own_processes_only IS 'whether only processes of the agent''s own user are visible to it';
COMMENT ON COLUMN machines.source IS 'the agent of the newest post: machine_sources.source';
COMMENT ON COLUMN machines.turns IS 'how often an agent posted again after another one, from turns_since to turned_at';

CREATE TABLE machine_sources (
    machine    integer NOT NULL REFERENCES machines (id) ON DELETE CASCADE,
    source     text NOT NULL,
    run_id     text NOT NULL,
    boot_id    text NOT NULL,
    hostname   text NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen  timestamptz NOT NULL,
    PRIMARY KEY (machine, source)
);
COMMENT ON TABLE machine_sources IS 'the last agents that posted as each machine';
COMMENT ON COLUMN machine_sources.last_seen IS 'not updated while an agent is the only one';
