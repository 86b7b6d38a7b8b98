-- One row per row of aggregates, with its time as a number of days.
-- $metrics  VARCHAR[], the metrics that are wanted
-- FROM aggregates(arm VARCHAR, metric VARCHAR, time VARCHAR, count DOUBLE, mean DOUBLE, variance DOUBLE, denominator_mean DOUBLE, denominator_variance DOUBLE, covariance DOUBLE, missing DOUBLE, largest DOUBLE)
-- Columns:
--   arm, metric, time, count, mean, variance, denominator_mean, denominator_variance, covariance, missing, largest  as there, NULL where it has no such column
--   moment    DOUBLE, the time if it is a number, days since the epoch if it is a date, also one such as 20261130; 0 without one, NULL for another text
--   time_ms   BIGINT, ms since the epoch if it is a date, else 0
--   place     VARCHAR, which row it is, for people
WITH typed AS (
    SELECT
        CAST(COLUMNS(['arm', 'metric', 'time']) AS VARCHAR) AS '\0',
        CAST(
            COLUMNS(['count', 'mean', 'variance', 'denominator_mean', 'denominator_variance', 'covariance', 'missing', 'largest']) AS DOUBLE
        ) AS '\0'
    FROM (
        SELECT *
        FROM aggregates
        UNION ALL BY NAME
        -- what aggregates need not have
        SELECT NULL AS time, NULL AS denominator_mean, NULL AS denominator_variance, NULL AS covariance, NULL AS missing, NULL AS largest
        WHERE false
    )
)
SELECT
    * EXCLUDE (date),
    if(time IS NULL, 0, coalesce(epoch(date) / 86400, TRY_CAST(time AS DOUBLE))) AS moment,
    coalesce(epoch_ms(date), 0) AS time_ms,
    concat('metric ', metric, ', arm ', arm, ', time ' || time) AS place
FROM (
    SELECT *, coalesce(try_strptime(if(length(time) = 8, time, NULL), '%Y%m%d'), TRY_CAST(time AS TIMESTAMP)) AS date
    FROM typed
)
WHERE metric IN (SELECT unnest($metrics))
