-- One row per metric and arm: its aggregates, by a statement that other databases understand as well.
-- FROM table_values(arm VARCHAR, metric VARCHAR, numerator DOUBLE, denominator DOUBLE)
-- Columns:
--   arm, metric
--   count           BIGINT, listeners
--   missing         BIGINT, listeners without a finite number
--   mean, variance  DOUBLE, of the numerator
--   denominator_mean, denominator_variance, covariance  DOUBLE
--   largest         DOUBLE, size of the largest numerator
SELECT
    arm AS "arm",
    metric AS "metric",
    count(*) AS "count",
    count(*) - count(numerator + denominator) AS "missing",
    avg(numerator) AS "mean",
    var_samp(numerator) AS "variance",
    avg(denominator) AS "denominator_mean",
    var_samp(denominator) AS "denominator_variance",
    covar_samp(numerator, denominator) AS "covariance",
    max(abs(numerator)) AS "largest"
FROM table_values
GROUP BY arm, metric
