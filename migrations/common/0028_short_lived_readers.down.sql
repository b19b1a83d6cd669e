DROP FUNCTION process_top;
ALTER FUNCTION process_top_of_lists RENAME TO process_top;

COMMENT ON FUNCTION process_top IS
    'usage of each process of a machine, highest CPU usage first; a window of more than two hours has whole hours';
DROP VIEW name_1h, name_3h, name_1d, history.name_1h, history.name_3h, history.name_1d;
DROP VIEW history.owners, history.short_lived, history.short_lived_history, short_lived_history;
DROP FUNCTION short_lived_top;
