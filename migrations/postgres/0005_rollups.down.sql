DROP VIEW process_1d, process_3h, process_1h, machine_1d, machine_3h, machine_1h, machine_1m, rollup_dirty_1d, rollup_dirty_3h, rollup_dirty_1h;
DROP FUNCTION process_merge, machine_merge, process_hours, machine_hours, process_hour, machine_buckets;
DROP TABLE process_1d_done, process_3h_done, process_1h_done, machine_1d_done, machine_3h_done, machine_1h_done, machine_1m_done, rollup_marks;
