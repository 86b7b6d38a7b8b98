-- One row per thing that is wrong with aggregates, the gravest first: where and what, for people.
-- $metrics  VARCHAR[], the metrics that are wanted
-- FROM aggregates(metric VARCHAR)
-- FROM timed(arm VARCHAR, metric VARCHAR, time VARCHAR, count DOUBLE, mean DOUBLE, variance DOUBLE, denominator_mean DOUBLE, denominator_variance DOUBLE, covariance DOUBLE, moment DOUBLE, place VARCHAR)
-- Columns:
--   error  VARCHAR
WITH
ordered AS (
    SELECT
        *,
        lag(count) OVER by_time AS count_before,
        lag(time) OVER by_time AS time_before,
        lead(time) OVER by_time IS NULL AS is_last
    FROM timed
    WINDOW by_time AS (PARTITION BY metric, arm ORDER BY moment)
),
missing AS (
    SELECT times.metric, arms.arm, times.time, times.moment, times.arms
    FROM (
        SELECT metric, moment, min(time) AS time, string_agg(DISTINCT arm, ', ' ORDER BY arm) AS arms
        FROM timed
        GROUP BY metric, moment
    ) AS times
    JOIN (SELECT DISTINCT metric, arm FROM timed) AS arms ON arms.metric = times.metric
    ANTI JOIN timed ON timed.metric = times.metric AND timed.arm = arms.arm AND timed.moment = times.moment
),
errors AS (
    SELECT
        0 AS gravity, 0 AS moment,
        concat('no metric ', name, '; found are ', (SELECT string_agg(DISTINCT metric, ', ' ORDER BY metric) FROM aggregates)) AS error
    FROM (SELECT unnest($metrics) AS name)
    WHERE name NOT IN (SELECT metric FROM timed)
    UNION ALL
    SELECT 1, moment, concat(place, ': no arm; every row has one')
    FROM timed
    WHERE arm IS NULL
    UNION ALL
    SELECT 2, 0, concat(place, ': a date such as 2026-11-30 or a number is expected')
    FROM timed
    WHERE moment IS NULL
    UNION ALL
    SELECT
        3, moment,
        concat(place, ': count ', count, ', mean ', mean, '; a whole number of at least 0 and a number are expected')
    FROM timed
    WHERE (count >= 0 AND count = floor(count) AND isfinite(count)) IS NOT TRUE
        OR count > 0 AND (isfinite(mean) AND coalesce(isfinite(denominator_mean), true)) IS NOT TRUE
    UNION ALL
    SELECT 4, moment, concat(place, ': variance ', coalesce(CAST(variance AS VARCHAR), 'missing'), '; a number of at least 0 is expected')
    FROM ordered
    -- one that is missing matters at the last time alone
    WHERE count > 1 AND if(coalesce(isnan(variance), true), is_last, variance < 0 OR isinf(variance))
    UNION ALL
    SELECT
        5, moment,
        concat(place, ': a ratio has denominator_mean, denominator_variance of at least 0 and covariance; here they are ',
            CAST([denominator_mean, denominator_variance, covariance] AS VARCHAR))
    FROM timed
    WHERE coalesce(denominator_mean, denominator_variance, covariance) IS NOT NULL
        AND (denominator_variance >= 0 AND isfinite(denominator_mean) AND isfinite(covariance)) IS NOT TRUE
    UNION ALL
    SELECT 6, moment, concat(place, ': ', count(*), ' rows; one is expected')
    FROM timed
    GROUP BY metric, arm, moment, place
    HAVING count(*) > 1
    UNION ALL
    SELECT
        7, moment,
        concat('metric ', metric, ', arm ', arm, ': no row for ', time, ', which ', arms,
            ' has; arms are compared at the same times')
    FROM missing
    UNION ALL
    SELECT
        8, moment,
        concat(place, ': count ', CAST(count AS BIGINT), ' after ', CAST(count_before AS BIGINT), ' at ', time_before,
            '; counts are of all listeners so far, which never fall')
    FROM ordered
    WHERE count < count_before
)
SELECT error
FROM errors
ORDER BY gravity, moment, error
