-- More system metrics: which file system is the fullest and how much space each has left, which interfaces are part of
-- the totals, and what did not answer.

ALTER TABLE snapshots ADD COLUMN fullest_disk_usage double precision, ADD COLUMN fullest_disk text,
    ADD COLUMN stale text[];
COMMENT ON COLUMN snapshots.used_ram IS 'memory that is not available, in bytes';
COMMENT ON COLUMN snapshots.fullest_disk_usage IS
    'used space of the fullest disk, in percent of the used and available space';
COMMENT ON COLUMN snapshots.fullest_disk IS 'mount point of the fullest disk';
COMMENT ON COLUMN snapshots.stale IS
    'what did not answer, so that its values are the last known ones: mount points of disks, and temperatures';
COMMENT ON COLUMN snapshots.received_bytes IS
    'bytes received in the interval by the interfaces that are part of the totals';

ALTER TABLE disk_samples ADD COLUMN available bigint, ADD COLUMN fs_type text, ADD COLUMN read_only boolean;
COMMENT ON COLUMN disk_samples.available IS 'bytes that users can still write';
COMMENT ON COLUMN disk_samples.fs_type IS 'type of the file system, such as ext4 or nfs4';
COMMENT ON COLUMN disk_samples.read_only IS 'whether the file system cannot be written, so that it cannot fill';

ALTER TABLE net_samples ADD COLUMN in_total boolean;
COMMENT ON COLUMN net_samples.in_total IS
    'part of the totals in snapshots: docs/agent.md has the rule; null if the agent does not report it';

CREATE OR REPLACE VIEW history.snapshots AS SELECT * FROM snapshots;
CREATE OR REPLACE VIEW history.disk_samples AS SELECT * FROM disk_samples;
CREATE OR REPLACE VIEW history.net_samples AS SELECT * FROM net_samples;
