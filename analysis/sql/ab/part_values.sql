-- One row per listener, arm and part: what a metric sums up there.
-- FROM known(user BIGINT, arm VARCHAR, part VARCHAR)
-- FROM measured(user BIGINT, arm VARCHAR, part VARCHAR, numerator DOUBLE, denominator DOUBLE)
-- Columns:
--   user, arm, part
--   numerator, denominator  DOUBLE; 0 without a row of the metric
SELECT
    user, arm, part,
    CAST(coalesce(numerator, 0) AS DOUBLE) AS numerator,
    CAST(coalesce(denominator, 0) AS DOUBLE) AS denominator
FROM known
LEFT JOIN measured USING (user, arm, part)
ORDER BY arm, user, part
