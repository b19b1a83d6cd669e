DROP VIEW short_lived_1d, short_lived_1h, short_lived_1m, short_lived;
DROP FUNCTION short_lived_merge, short_lived_hours, short_lived_hour;
DROP TABLE short_lived_1d_done, short_lived_1h_done, short_lived_minutes, short_lived_batches;
UPDATE settings
SET value = (value::jsonb - ARRAY['short_lived', 'short_lived_1m', 'short_lived_1h', 'short_lived_1d'])::text
WHERE key = 'complete_from';
