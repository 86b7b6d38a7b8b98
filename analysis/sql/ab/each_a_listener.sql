-- One row per row of a table, where each is of another listener.
-- FROM ab_rows(arm VARCHAR, listener VARCHAR, numerator DOUBLE, denominator DOUBLE)
-- Columns:
--   arm, other_arm          the listener's arm, twice
--   numerator, denominator  DOUBLE
--   all_rows                INTEGER, 1
--   known_rows              BIGINT, 1 where both are numbers, else 0
SELECT
    arm, arm AS other_arm, numerator, denominator, 1 AS all_rows,
    CAST(coalesce(isfinite(numerator) AND isfinite(denominator), false) AS BIGINT) AS known_rows
FROM ab_rows
