-- The largest values of groups of short-lived processes, to find the largest ones of a window.

CREATE VIEW short_lived_peaks AS
    SELECT machine, ts AS key, first_ts, ts AS last_ts, cpu_us_max AS cpu_us, memory_max FROM short_lived_batches;
COMMENT ON VIEW short_lived_peaks IS
    'largest values of groups of short-lived processes, which are the batches in the postgres profile. Those that lie in
(a, b] have key > a - 1 min and key <= b + 1 h';

-- Whether a batch with these commands can have one of the wanted ones. It uses the index on command.
CREATE FUNCTION batch_has(commands bigint[], wanted bigint[]) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
    'SELECT commands && wanted';
COMMENT ON FUNCTION batch_has IS
    'whether short-lived processes that are stored together, with short_lived.commands, can have one that is wanted';

-- The sums for readers, who have no access to the tables. These functions have the privileges of their owner.
CREATE FUNCTION history.short_lived_hour(m integer, a timestamptz)
    RETURNS SETOF short_lived_1h_done LANGUAGE sql STABLE SECURITY DEFINER
    AS $$ SELECT * FROM short_lived_hour(m, a) $$;
CREATE FUNCTION history.short_lived_merge(m integer, a timestamptz, width interval)
    RETURNS SETOF short_lived_1h_done LANGUAGE sql STABLE SECURITY DEFINER
    AS $$ SELECT * FROM short_lived_merge(m, a, width) $$;
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION history.short_lived_hour SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION history.short_lived_merge SET search_path = %I, pg_temp', current_schema());
END $$;

CREATE VIEW history.short_lived_1m AS SELECT * FROM short_lived_1m;
CREATE VIEW history.short_lived_1h AS
    SELECT *, bucket AS bucket_key FROM short_lived_1h_done d
    WHERE NOT EXISTS (SELECT FROM rollup_dirty_1h k WHERE k.machine = d.machine AND k.bucket = d.bucket)
    UNION ALL
    SELECT h.*, h.bucket FROM rollup_dirty_1h k CROSS JOIN LATERAL history.short_lived_hour(k.machine, k.bucket) h
    WHERE h.machine = k.machine;
CREATE VIEW history.short_lived_1d AS
    SELECT *, bucket AS bucket_key FROM short_lived_1d_done d
    WHERE NOT EXISTS (SELECT FROM rollup_dirty_1d k WHERE k.machine = d.machine AND k.bucket = d.bucket)
    UNION ALL
    SELECT h.*, h.bucket FROM rollup_dirty_1d k CROSS JOIN LATERAL
        history.short_lived_merge(k.machine, k.bucket, '24 hours') h
    WHERE h.machine = k.machine;
