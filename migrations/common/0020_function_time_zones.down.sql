DO $$
DECLARE
    f regprocedure;
BEGIN
    FOR f IN SELECT p.oid FROM pg_proc p WHERE p.pronamespace IN (current_schema()::regnamespace, 'history'::regnamespace)
        AND p.proname IN ('machine_merge', 'process_merge') LOOP
        EXECUTE format('ALTER FUNCTION %s RESET timezone', f);
    END LOOP;
END $$;
