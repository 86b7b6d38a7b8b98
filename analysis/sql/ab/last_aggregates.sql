-- One row per metric and arm: its aggregates at the last time, which is no later than the experiment's end.
-- $planned   BIGINT, listeners of all arms at which it ends; NULL for no end
-- $min_days  BIGINT, days that it runs at least, where times are dates
-- $end_ms    BIGINT, later dates are left out
-- FROM timed(arm VARCHAR, metric VARCHAR, time VARCHAR, count DOUBLE, mean DOUBLE, variance DOUBLE, denominator_mean DOUBLE, denominator_variance DOUBLE, covariance DOUBLE, largest DOUBLE, moment DOUBLE, time_ms BIGINT)
-- Columns:
--   latest              STRUCT[], at that time and at those before it, the latest first:
--     metric, arm; segment  'until=' and the time; '' without one
--     listeners, count    BIGINT, the listeners
--     largest             DOUBLE, size of the largest numerator; NULL if unknown
--     means, covariances  DOUBLE[], of numerator and denominator, and the upper triangle; of a mean the latter are 1, 0 and 0
--   first_listeners     BIGINT, of all arms, in the first $min_days days; 0 where times are no dates
--   first_ms, last_ms   BIGINT, the first time and the last since the epoch; 0 where they are no dates
--   left_out            BIGINT, later times
WITH totals AS (
    SELECT moment, sum(listeners) AS listeners
    FROM (SELECT moment, max(count) AS listeners FROM timed GROUP BY moment, arm)
    GROUP BY moment
),
beginning AS (
    SELECT CAST(coalesce(max(listeners), 0) AS BIGINT) AS listeners
    FROM totals
    WHERE moment < (SELECT if(min(time_ms) > 0, floor(min(moment)) + $min_days, 0) FROM timed)
),
ending AS (
    SELECT coalesce(min(moment), 'infinity') AS moment
    FROM totals
    WHERE listeners >= $planned
        AND moment >= (SELECT min(moment) + if(min(time_ms) > 0, $min_days - 1, 0) FROM timed)
)
SELECT
    list(
        {
            'metric': metric,
            'arm': arm,
            'segment': coalesce('until=' || replace(time, ' 00:00:00', ''), ''),
            'listeners': CAST(count AS BIGINT),
            'count': CAST(count AS BIGINT),
            'means': [mean, coalesce(denominator_mean, 1)],
            'covariances': [variance, coalesce(covariance, 0), coalesce(denominator_variance, 0)],
            'largest': largest
        }
        ORDER BY moment DESC
    ) AS latest,
    (SELECT listeners FROM beginning) AS first_listeners,
    min(time_ms) AS first_ms,
    max(time_ms) AS last_ms,
    (SELECT count(*) FROM totals, ending WHERE totals.moment > ending.moment) AS left_out
FROM timed
WHERE moment <= (SELECT moment FROM ending) AND time_ms <= $end_ms
GROUP BY metric, arm
ORDER BY metric, arm
