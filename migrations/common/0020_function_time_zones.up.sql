-- Rollups of days add days to times. In a time zone with summer time, some days have 23 or 25 hours, so the functions do
-- not use the time zone of the session.
DO $$
DECLARE
    f regprocedure;
BEGIN
    FOR f IN SELECT p.oid FROM pg_proc p WHERE p.pronamespace IN (current_schema()::regnamespace, 'history'::regnamespace)
        AND p.proname IN ('machine_merge', 'process_merge') LOOP
        EXECUTE format('ALTER FUNCTION %s SET timezone = ''UTC''', f);
    END LOOP;
END $$;
