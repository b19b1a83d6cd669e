DROP TABLE machine_deletions;
DROP TABLE processes;
DROP TABLE machines;
DROP TABLE settings;
