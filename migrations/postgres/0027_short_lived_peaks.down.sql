DROP VIEW short_lived_peaks;
