DROP FUNCTION history.process_top, history.process_at;
DROP VIEW history.machine_history, history.process_history, history.net_samples, history.disk_samples, history.process_samples, history.snapshots, history.processes, history.machines;
