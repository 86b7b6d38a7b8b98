-- One row per metric and listener of a table with several rows a listener, for other databases as well.
-- FROM table_rows(arm VARCHAR, metric VARCHAR, listener VARCHAR, numerator DOUBLE, denominator DOUBLE)
-- Columns:
--   arm          NULL if a row has none or another than the first, or no listener
--   metric
--   numerator    DOUBLE, the sum; NULL where a row has no number
--   denominator  DOUBLE
SELECT
    CASE WHEN listener IS NOT NULL AND min(arm) = max(arm) AND count(arm) = count(*) THEN min(arm) END AS arm,
    metric,
    CASE WHEN count(numerator) = count(*) THEN sum(numerator) END AS numerator,
    CASE WHEN count(denominator) = count(*) THEN sum(denominator) END AS denominator
FROM table_rows
GROUP BY metric, listener
