-- Display preferences of users.

ALTER TABLE users ADD COLUMN preferences jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN users.preferences IS 'how the person likes to see things: kept for the UI';
