-- Access control: users and their sessions, tokens of programs and agents, enrolment
-- keys, and the audit log. Secrets are stored as hashes.

ALTER TABLE machines ADD COLUMN tags text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN machines.tags IS 'a user sees the machines that have one of the tags granted to them';

CREATE TABLE users (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          text NOT NULL CHECK (name <> ''),
    role          text NOT NULL CHECK (role IN ('admin', 'user')),
    tags          text[] NOT NULL DEFAULT '{}',
    disabled      boolean NOT NULL DEFAULT false,
    password_hash text,
    totp_secret   text,
    totp_step     bigint NOT NULL DEFAULT 0,
    issuer        text,
    subject       text,
    created_at    timestamptz NOT NULL,
    last_login    timestamptz,
    CHECK ((issuer IS NULL) = (subject IS NULL))
);
CREATE UNIQUE INDEX users_by_name ON users (lower(name));
CREATE UNIQUE INDEX users_by_subject ON users (issuer, subject);
COMMENT ON COLUMN users.tags IS 'which machines a user sees; * is all';
COMMENT ON COLUMN users.password_hash IS 'argon2id with its parameters; null for those who log in elsewhere';
COMMENT ON COLUMN users.totp_step IS 'the last time step whose code was taken: a code counts once'; -- words:allow applied migrations stay as they are

CREATE TABLE sessions (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    secret_hash bytea NOT NULL UNIQUE,
    user_id     bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at  timestamptz NOT NULL,
    last_seen   timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    address     text NOT NULL,
    user_agent  text NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id);

-- Browsers from which a user has logged in. Failed logins from elsewhere do not limit
-- logins from these.
CREATE TABLE devices (
    secret_hash bytea PRIMARY KEY,
    user_id     bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    last_used   timestamptz NOT NULL
);
CREATE INDEX devices_by_user ON devices (user_id);

CREATE TABLE tokens (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    secret_hash bytea NOT NULL UNIQUE,
    name        text NOT NULL,
    role        text NOT NULL CHECK (role IN ('admin', 'user', 'agent')),
    machine_id  text,
    tags        text[] NOT NULL DEFAULT '{}',
    scopes      text[],
    created_at  timestamptz NOT NULL,
    created_by  text NOT NULL,
    expires_at  timestamptz,
    last_used   timestamptz,
    replaces    bigint REFERENCES tokens ON DELETE SET NULL,
    CHECK ((role = 'agent') = (machine_id IS NOT NULL))
);
CREATE INDEX tokens_by_machine ON tokens (machine_id) WHERE machine_id IS NOT NULL;
CREATE INDEX tokens_by_replaces ON tokens (replaces) WHERE replaces IS NOT NULL;
COMMENT ON COLUMN tokens.tags IS 'of an agent: what its machine is tagged with when it is made; of a user: which machines it reads';
COMMENT ON COLUMN tokens.scopes IS 'permissions that it is limited to; null for all of its role';
COMMENT ON COLUMN tokens.replaces IS 'the token that goes when this one is first used';

CREATE TABLE enrolment_keys (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    secret_hash bytea NOT NULL UNIQUE,
    name        text NOT NULL,
    tags        text[] NOT NULL DEFAULT '{}',
    uses_left   integer,
    takes_over  boolean NOT NULL DEFAULT false,
    created_at  timestamptz NOT NULL,
    created_by  text NOT NULL,
    expires_at  timestamptz
);
COMMENT ON COLUMN enrolment_keys.takes_over IS 'may give a new token to a machine that has one';

CREATE TABLE audit_log (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL,
    actor      text NOT NULL,
    action     text NOT NULL,
    target     text NOT NULL,
    detail     jsonb NOT NULL DEFAULT '{}',
    address    text NOT NULL,
    request_id text NOT NULL
);
CREATE INDEX audit_log_by_time ON audit_log (at);
COMMENT ON TABLE audit_log IS 'who did what to which machine, user, token or setting';

-- A new machine gets the tags of its agent's token.
CREATE FUNCTION tag_machine() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.tags = '{}' THEN
        NEW.tags := coalesce((SELECT t.tags FROM tokens t WHERE t.machine_id = NEW.machine_id ORDER BY t.id DESC LIMIT 1), '{}');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER tag_machine BEFORE INSERT ON machines FOR EACH ROW EXECUTE FUNCTION tag_machine();

-- Servers cache briefly who a secret belongs to. When a row changes, they clear the
-- cache and check the permissions of live views again.
CREATE FUNCTION tell_access() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY snapwatch_access;
    RETURN NULL;
END $$;
CREATE TRIGGER tell_access AFTER UPDATE OF role, tags, disabled OR DELETE ON users FOR EACH STATEMENT EXECUTE FUNCTION tell_access();
CREATE TRIGGER tell_access AFTER DELETE ON sessions FOR EACH STATEMENT EXECUTE FUNCTION tell_access();
CREATE TRIGGER tell_access AFTER DELETE ON tokens FOR EACH STATEMENT EXECUTE FUNCTION tell_access();
CREATE TRIGGER tell_access AFTER UPDATE OF tags OR DELETE ON machines FOR EACH STATEMENT EXECUTE FUNCTION tell_access();
