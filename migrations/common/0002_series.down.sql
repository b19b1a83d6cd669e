DROP TABLE net_samples;
DROP TABLE disk_samples;
DROP TABLE process_samples;
DROP TABLE snapshots;
