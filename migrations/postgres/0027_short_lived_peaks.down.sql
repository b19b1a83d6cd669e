DROP VIEW history.short_lived_1m, history.short_lived_1h, history.short_lived_1d;
DROP FUNCTION history.short_lived_hour, history.short_lived_merge;
DROP VIEW short_lived_peaks;
DROP FUNCTION batch_has;
