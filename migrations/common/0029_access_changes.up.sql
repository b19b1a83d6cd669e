-- The notification about changed access says what changed, so that servers remove only that from their caches:
-- "tokens 1,2", "agent_tokens 3", "sessions 4" or "machines". An empty payload means that anything may have changed.
-- A statement that affects no row notifies nobody: NOTIFY makes commits wait for each other.

DROP TRIGGER tell_access ON sessions;
DROP TRIGGER tell_access ON tokens;
DROP TRIGGER tell_access ON machines;

-- Sends the ids of deleted or changed rows, or an empty payload for many. The limit of a payload is 8000 bytes.
CREATE FUNCTION notify_access(kind text, ids bigint[]) RETURNS void LANGUAGE sql AS $$
    SELECT pg_notify('snapwatch_access',
        CASE WHEN cardinality(ids) > 300 THEN '' ELSE kind || ' ' || array_to_string(ids, ',') END)
    WHERE cardinality(ids) > 0
$$;

CREATE FUNCTION notify_sessions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM notify_access('sessions', (SELECT array_agg(id) FROM old_rows));
    RETURN NULL;
END $$;
CREATE TRIGGER notify_sessions AFTER DELETE ON sessions REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION notify_sessions();

-- Agents have no live views, so their tokens are sent separately.
CREATE FUNCTION notify_tokens() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM notify_access('tokens', (SELECT array_agg(id) FROM old_rows WHERE role <> 'agent'));
    PERFORM notify_access('agent_tokens', (SELECT array_agg(id) FROM old_rows WHERE role = 'agent'));
    RETURN NULL;
END $$;
CREATE TRIGGER notify_tokens AFTER DELETE ON tokens REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION notify_tokens();

-- snapwatch never changes these columns. Somebody with access to the database may.
CREATE FUNCTION notify_changed_token() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM notify_access('tokens', ARRAY[OLD.id]);
    RETURN NULL;
END $$;
CREATE TRIGGER notify_changed_token AFTER UPDATE OF secret_hash, role, machine_id, tags, scopes, expires_at ON tokens
    FOR EACH ROW EXECUTE FUNCTION notify_changed_token();

CREATE FUNCTION notify_machines() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('snapwatch_access', 'machines');
    RETURN NULL;
END $$;
CREATE TRIGGER notify_deleted_machine AFTER DELETE ON machines
    FOR EACH ROW EXECUTE FUNCTION notify_machines();
CREATE TRIGGER notify_tags AFTER UPDATE OF tags ON machines
    FOR EACH ROW WHEN (OLD.tags IS DISTINCT FROM NEW.tags) EXECUTE FUNCTION notify_machines();

-- Servers cache the retention, and from when on the data is complete.
CREATE FUNCTION notify_settings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('snapwatch_settings', NEW.key);
    RETURN NULL;
END $$;
CREATE TRIGGER notify_new_setting AFTER INSERT ON settings
    FOR EACH ROW WHEN (NEW.key IN ('retention', 'complete_from')) EXECUTE FUNCTION notify_settings();
CREATE TRIGGER notify_setting AFTER UPDATE ON settings
    FOR EACH ROW WHEN (NEW.key IN ('retention', 'complete_from') AND OLD.value IS DISTINCT FROM NEW.value)
    EXECUTE FUNCTION notify_settings();
