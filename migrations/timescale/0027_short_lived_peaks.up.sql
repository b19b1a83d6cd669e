-- The largest values of groups of short-lived processes, to find the largest ones of a window. These are hours: there
-- are sixty times as many minutes.

CREATE VIEW short_lived_peaks AS
    SELECT machine, bucket AS key, first_ts, last_ts, cpu_us_max AS cpu_us, memory_max FROM short_lived_1h_cagg;
COMMENT ON VIEW short_lived_peaks IS
    'largest values of groups of short-lived processes, which are the hours in the timescale profile. Those that lie in
(a, b] have key > a - 1 min and key <= b + 1 h';

-- The sums for readers, who have no access to the tables.
CREATE VIEW history.short_lived_1m AS SELECT * FROM short_lived_1m;
CREATE VIEW history.short_lived_1h AS SELECT * FROM short_lived_1h;
CREATE VIEW history.short_lived_1d AS SELECT * FROM short_lived_1d;
