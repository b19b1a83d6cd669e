-- The time series, as plain tables, so that their columns are defined once. The next
-- migration, which depends on the profile, converts them to partitioned tables or
-- hypertables. Wide columns come first, to avoid padding.

CREATE TABLE snapshots (
    ts             timestamptz NOT NULL,
    full_ts        timestamptz NOT NULL,
    interval_ms    bigint NOT NULL,
    cpu_usage      double precision,
    load1          double precision,
    load5          double precision,
    load15         double precision,
    uptime_ms      bigint,
    total_ram      bigint,
    used_ram       bigint,
    available_ram  bigint,
    total_swap     bigint,
    used_swap      bigint,
    total_disk     bigint,
    used_disk      bigint,
    available_disk bigint,
    machine        integer NOT NULL,
    process_count  integer NOT NULL,
    PRIMARY KEY (machine, ts)
);
COMMENT ON TABLE snapshots IS 'one row per machine and instant; its key is the only check for duplicates';
COMMENT ON COLUMN snapshots.full_ts IS 'the full snapshot that this one rests on; equal to ts for a full one';
COMMENT ON COLUMN snapshots.interval_ms IS 'milliseconds that cpu_ms and byte counts of this instant cover';

CREATE TABLE process_samples (
    ts           timestamptz NOT NULL,
    process      bigint NOT NULL,
    cpu_ms       bigint,
    memory_usage bigint,
    read_bytes   bigint,
    write_bytes  bigint,
    machine      integer NOT NULL,
    threads      integer,
    state        text
);
CREATE INDEX process_samples_by_machine ON process_samples (machine, ts);
COMMENT ON TABLE process_samples IS 'sparse: every process at a full snapshot, then only what changed; a process not listed spent nothing and kept its levels';
COMMENT ON COLUMN process_samples.state IS 'one letter as in ps, or ''exited'' for a process that is gone';

CREATE TABLE disk_samples (
    ts          timestamptz NOT NULL,
    total       bigint,
    used        bigint,
    read_bytes  bigint,
    write_bytes bigint,
    machine     integer NOT NULL,
    device      text NOT NULL,
    mount       text NOT NULL
);
CREATE INDEX disk_samples_by_machine ON disk_samples (machine, ts);

CREATE TABLE net_samples (
    ts             timestamptz NOT NULL,
    received_bytes bigint,
    sent_bytes     bigint,
    machine        integer NOT NULL,
    name           text NOT NULL
);
CREATE INDEX net_samples_by_machine ON net_samples (machine, ts);
