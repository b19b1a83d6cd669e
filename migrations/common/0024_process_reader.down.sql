ALTER TABLE machines DROP COLUMN process_reader, DROP COLUMN process_reader_reason;
