-- One row per metric and arm: its aggregates at the last time.
-- FROM timed(arm VARCHAR, metric VARCHAR, time VARCHAR, count DOUBLE, mean DOUBLE, variance DOUBLE, denominator_mean DOUBLE, denominator_variance DOUBLE, covariance DOUBLE, moment DOUBLE, is_date BOOLEAN)
-- Columns:
--   metric, arm
--   count                                               BIGINT, listeners
--   mean, variance                                      DOUBLE
--   denominator_mean, denominator_variance, covariance  DOUBLE; of a mean 1, 0 and 0
--   first_ms, last_ms                                   BIGINT, the first time and the last since the epoch; 0 where they are no dates
SELECT
    metric, arm,
    CAST(arg_max(count, moment) AS BIGINT) AS count,
    arg_max(coalesce(mean, 0), moment) AS mean,
    arg_max(coalesce(variance, 0), moment) AS variance,
    arg_max(coalesce(denominator_mean, 1), moment) AS denominator_mean,
    arg_max(coalesce(denominator_variance, 0), moment) AS denominator_variance,
    arg_max(coalesce(covariance, 0), moment) AS covariance,
    CAST(if(bool_and(is_date), min(moment) * 86400000, 0) AS BIGINT) AS first_ms,
    CAST(if(bool_and(is_date), max(moment) * 86400000, 0) AS BIGINT) AS last_ms
FROM timed
GROUP BY metric, arm
ORDER BY metric, arm
