-- How the agent of a machine reads processes.

ALTER TABLE machines ADD COLUMN process_reader text NOT NULL DEFAULT '',
    ADD COLUMN process_reader_reason text NOT NULL DEFAULT '';
COMMENT ON COLUMN machines.process_reader IS 'bpf or proc; empty if the agent does not say, as on other systems than Linux';
COMMENT ON COLUMN machines.process_reader_reason IS 'why processes are not read with BPF';
