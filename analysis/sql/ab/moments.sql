-- One row per arm: the count, means and sample covariances of its listeners' numerators and denominators.
-- FROM ab_listeners(arm VARCHAR, other_arm VARCHAR, numerator DOUBLE, denominator DOUBLE, all_rows BIGINT, known_rows BIGINT)
-- Columns:
--   arm               NULL for rows without one
--   count             BIGINT, listeners
--   mean, variance    DOUBLE, of the numerators; the variance is NULL for fewer than two listeners
--   denominator_mean, denominator_variance, covariance  DOUBLE
--   skewness          DOUBLE, of the numerators; NULL for fewer than three listeners
--   in_two_arms       BIGINT, listeners with another arm, too
--   all_rows, gaps    HUGEINT, rows of the table, and those without a number
SELECT
    arm, count(*) AS count,
    avg(numerator) AS mean, var_samp(numerator) AS variance,
    avg(denominator) AS denominator_mean, var_samp(denominator) AS denominator_variance,
    covar_samp(numerator, denominator) AS covariance, skewness(numerator) AS skewness,
    count(*) FILTER (WHERE arm <> other_arm) AS in_two_arms,
    sum(all_rows) AS all_rows, sum(all_rows - known_rows) AS gaps
FROM ab_listeners
GROUP BY arm
ORDER BY arm
