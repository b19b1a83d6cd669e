-- The largest values of groups of short-lived processes, to find the largest ones of a window. These are hours: there
-- are sixty times as many minutes.

CREATE VIEW short_lived_peaks AS
    SELECT machine, bucket AS key, first_ts, last_ts, cpu_us_max AS cpu_us, memory_max FROM short_lived_1h_cagg;
COMMENT ON VIEW short_lived_peaks IS
    'largest values of groups of short-lived processes, which are the hours in the timescale profile. Those that lie in
(a, b] have key > a - 1 min and key <= b + 1 h';

-- Batches of the compressed column have a bloom filter, which a condition on command itself uses.
CREATE FUNCTION batch_has(commands bigint[], wanted bigint[]) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
    'SELECT true';
COMMENT ON FUNCTION batch_has IS
    'whether short-lived processes that are stored together, with short_lived.commands, can have one that is wanted';

-- The sums for readers, who have no access to the tables.
CREATE VIEW history.short_lived_1m AS SELECT * FROM short_lived_1m;
CREATE VIEW history.short_lived_1h AS SELECT * FROM short_lived_1h;
CREATE VIEW history.short_lived_1d AS SELECT * FROM short_lived_1d;
