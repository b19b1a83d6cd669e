-- The comments describe the same columns as before, so they stay.
SELECT 1;
