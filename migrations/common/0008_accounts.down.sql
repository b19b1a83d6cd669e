DROP TRIGGER tell_access ON machines;
DROP TRIGGER tag_machine ON machines;
DROP TABLE audit_log, enrolment_keys, tokens, devices, sessions, users;
DROP FUNCTION tell_access, tag_machine;
ALTER TABLE machines DROP COLUMN tags;
