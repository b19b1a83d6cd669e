DROP FUNCTION short_lived_top;
