ALTER TABLE machines DROP COLUMN exclude;
