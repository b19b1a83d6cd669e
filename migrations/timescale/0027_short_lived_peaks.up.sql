-- The largest values of short-lived processes that are stored near each other, to find the largest ones of a window.

CREATE VIEW short_lived_peaks AS
    SELECT machine, ts AS key, first_ts, last_ts, cpu_us_max AS cpu_us, memory_max FROM short_lived_minutes;
COMMENT ON VIEW short_lived_peaks IS
    'largest values of groups of short-lived processes, which are the minutes in the timescale profile. Those of (a, b]
have key > a - 1 min and key <= b + 1 h';

-- The sums for readers, who have no access to the tables.
CREATE VIEW history.short_lived_1m AS SELECT * FROM short_lived_1m;
CREATE VIEW history.short_lived_1h AS SELECT * FROM short_lived_1h;
CREATE VIEW history.short_lived_1d AS SELECT * FROM short_lived_1d;
