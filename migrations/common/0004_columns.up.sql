-- Columns for rollups and compression: whether a row belongs to a full snapshot, its
-- hour, and the totals of all devices. The order of the two columns of process_samples
-- avoids padding.

ALTER TABLE process_samples ADD COLUMN in_full boolean NOT NULL DEFAULT false, ADD COLUMN hour integer NOT NULL DEFAULT 0;
UPDATE process_samples p SET in_full = s.full_ts = s.ts, hour = extract(epoch FROM p.ts)::bigint / 3600
FROM snapshots s WHERE s.machine = p.machine AND s.ts = p.ts;
ALTER TABLE process_samples ALTER COLUMN in_full DROP DEFAULT, ALTER COLUMN hour DROP DEFAULT;
COMMENT ON COLUMN process_samples.in_full IS 'of a full snapshot: every process has such a row at the same instants, so averages over them are not biased by sparseness';
COMMENT ON COLUMN process_samples.hour IS 'hours since 1970: compressed segments are ordered by it first';

ALTER TABLE snapshots ADD COLUMN read_bytes bigint, ADD COLUMN write_bytes bigint, ADD COLUMN received_bytes bigint, ADD COLUMN sent_bytes bigint;
UPDATE snapshots s SET read_bytes = d.read_bytes, write_bytes = d.write_bytes
FROM (SELECT machine, ts, sum(read_bytes) AS read_bytes, sum(write_bytes) AS write_bytes FROM disk_samples GROUP BY machine, ts) d
WHERE d.machine = s.machine AND d.ts = s.ts;
UPDATE snapshots s SET received_bytes = n.received_bytes, sent_bytes = n.sent_bytes
FROM (SELECT machine, ts, sum(received_bytes) AS received_bytes, sum(sent_bytes) AS sent_bytes FROM net_samples WHERE name <> 'lo' GROUP BY machine, ts) n
WHERE n.machine = s.machine AND n.ts = s.ts;
COMMENT ON COLUMN snapshots.read_bytes IS 'of all disks, in the interval';
COMMENT ON COLUMN snapshots.received_bytes IS 'of all interfaces but loopback, in the interval';

CREATE INDEX processes_by_name ON processes (name, machine);
CREATE INDEX processes_by_last_day ON processes USING brin (last_day) WITH (pages_per_range = 32);
