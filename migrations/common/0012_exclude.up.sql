-- Names of processes that an agent does not record.

ALTER TABLE machines ADD COLUMN exclude text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN machines.exclude IS 'names of processes that the agent does not record; * stands for any text';
