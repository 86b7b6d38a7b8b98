-- One row per listener of a table with several rows a listener: the sums over these.
-- FROM ab_rows(arm VARCHAR, listener VARCHAR, numerator DOUBLE, denominator DOUBLE)
-- Columns:
--   arm, other_arm          the first and the last of the listener's arms by name; the same where there is one
--   numerator, denominator  DOUBLE
--   all_rows                BIGINT
--   known_rows              BIGINT, of those, rows with both numbers
SELECT
    min(arm) AS arm, max(arm) AS other_arm, sum(numerator) AS numerator, sum(denominator) AS denominator,
    count(*) AS all_rows,
    count(*) FILTER (WHERE isfinite(numerator) AND isfinite(denominator)) AS known_rows
FROM ab_rows
GROUP BY listener
