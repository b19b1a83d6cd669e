DROP FUNCTION history.process_top, process_top;
DROP VIEW history.machine_history, history.process_history, machine_history, process_history;
