-- One row per metric and arm: its aggregates at the last time.
-- FROM timed(arm VARCHAR, metric VARCHAR, time VARCHAR, count DOUBLE, mean DOUBLE, variance DOUBLE, denominator_mean DOUBLE, denominator_variance DOUBLE, covariance DOUBLE, moment DOUBLE, is_date BOOLEAN)
-- Columns:
--   metric, arm
--   segment             '', the whole experiment
--   count, listeners    BIGINT, the listeners
--   means, covariances  DOUBLE[], of numerator and denominator, and the upper triangle; of a mean the latter are 1, 0 and 0
--   first_ms, last_ms   BIGINT, the first time and the last since the epoch; 0 where they are no dates
SELECT
    metric, arm,
    '' AS segment,
    CAST(arg_max(count, moment) AS BIGINT) AS count,
    CAST(max(count) AS BIGINT) AS listeners,
    arg_max([mean, coalesce(denominator_mean, 1)], moment) AS means,
    arg_max([variance, coalesce(covariance, 0), coalesce(denominator_variance, 0)], moment) AS covariances,
    CAST(if(bool_and(is_date), min(moment) * 86400000, 0) AS BIGINT) AS first_ms,
    CAST(if(bool_and(is_date), max(moment) * 86400000, 0) AS BIGINT) AS last_ms
FROM timed
GROUP BY metric, arm
ORDER BY metric, arm
