DROP VIEW short_lived_1d, short_lived_1h, short_lived_1m, short_lived;
DROP MATERIALIZED VIEW short_lived_1d_cagg;
DROP MATERIALIZED VIEW short_lived_1h_cagg;
DROP TABLE short_lived_minutes;
DROP TABLE short_lived_rows;
DROP DOMAIN repeated_bigint, repeated_integer, repeated_smallint;
-- The jobs of these aggregates are gone. The server creates all policies again.
DELETE FROM settings WHERE key = 'policies';
UPDATE settings
SET value = (value::jsonb - ARRAY['short_lived', 'short_lived_1m', 'short_lived_1h', 'short_lived_1d'])::text
WHERE key = 'complete_from';
