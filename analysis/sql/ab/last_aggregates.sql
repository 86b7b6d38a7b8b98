-- One row per metric and arm: its aggregates at the last time, which is no later than the experiment's end.
-- $planned   BIGINT, listeners of all arms at which it ends; NULL for no end
-- $min_days  BIGINT, days that it runs at least, where times are dates
-- $end_ms    BIGINT, later dates are left out
-- FROM timed(arm VARCHAR, metric VARCHAR, time VARCHAR, count DOUBLE, mean DOUBLE, variance DOUBLE, denominator_mean DOUBLE, denominator_variance DOUBLE, covariance DOUBLE, moment DOUBLE, is_date BOOLEAN)
-- Columns:
--   metric, arm
--   segment             '', the whole experiment
--   count, listeners    BIGINT, the listeners
--   means, covariances  DOUBLE[], of numerator and denominator, and the upper triangle; of a mean the latter are 1, 0 and 0
--   latest, earlier     DOUBLE[], count, mean and variance at that time and at the one before; the latter NULL where there is none
--   first_ms, last_ms   BIGINT, the first time and the last since the epoch; 0 where they are no dates
--   left_out            BIGINT, later times
WITH sizes AS (
    SELECT moment, arm, max(count) AS listeners
    FROM timed
    GROUP BY moment, arm
),
totals AS (
    SELECT moment, sum(listeners) AS listeners
    FROM sizes
    GROUP BY moment
),
ending AS (
    SELECT coalesce(min(moment), 'infinity') AS moment
    FROM totals
    WHERE listeners >= $planned
        AND moment >= (SELECT min(moment) + if(bool_and(is_date), $min_days - 1, 0) FROM timed)
)
SELECT
    metric, arm,
    '' AS segment,
    CAST(arg_max(count, moment) AS BIGINT) AS count,
    CAST(max(count) AS BIGINT) AS listeners,
    arg_max([mean, coalesce(denominator_mean, 1)], moment) AS means,
    arg_max([variance, coalesce(covariance, 0), coalesce(denominator_variance, 0)], moment) AS covariances,
    arg_max([count, mean, variance], moment) AS latest,
    arg_max([count, mean, variance], moment, 2)[2] AS earlier,
    CAST(if(bool_and(is_date), min(moment) * 86400000, 0) AS BIGINT) AS first_ms,
    CAST(if(bool_and(is_date), max(moment) * 86400000, 0) AS BIGINT) AS last_ms,
    (SELECT count(*) FROM totals, ending WHERE totals.moment > ending.moment) AS left_out
FROM timed
WHERE moment <= (SELECT moment FROM ending) AND NOT (is_date AND moment * 86400000 > $end_ms)
GROUP BY metric, arm
ORDER BY metric, arm
