DROP FUNCTION process_top, process_at;
DROP VIEW machine_history, process_history;
