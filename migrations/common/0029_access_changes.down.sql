DROP TRIGGER notify_setting ON settings;
DROP TRIGGER notify_new_setting ON settings;
DROP TRIGGER notify_tags ON machines;
DROP TRIGGER notify_deleted_machine ON machines;
DROP TRIGGER notify_changed_token ON tokens;
DROP TRIGGER notify_tokens ON tokens;
DROP TRIGGER notify_sessions ON sessions;
DROP FUNCTION notify_settings, notify_machines, notify_changed_token, notify_tokens, notify_sessions, notify_access;

CREATE TRIGGER tell_access AFTER DELETE ON sessions FOR EACH STATEMENT EXECUTE FUNCTION tell_access();
CREATE TRIGGER tell_access AFTER DELETE ON tokens FOR EACH STATEMENT EXECUTE FUNCTION tell_access();
CREATE TRIGGER tell_access AFTER UPDATE OF tags OR DELETE ON machines
    FOR EACH STATEMENT EXECUTE FUNCTION tell_access();
