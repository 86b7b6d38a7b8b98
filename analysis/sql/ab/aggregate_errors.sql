-- One row per thing that is wrong with aggregates, the first first: where and what, for people.
-- $metrics  VARCHAR[], the metrics that are wanted
-- FROM aggregates(metric VARCHAR)
-- FROM timed(arm VARCHAR, metric VARCHAR, time VARCHAR, count DOUBLE, mean DOUBLE, variance DOUBLE, denominator_mean DOUBLE, denominator_variance DOUBLE, covariance DOUBLE, missing DOUBLE, moment DOUBLE, place VARCHAR)
-- Columns:
--   error  VARCHAR
WITH ordered AS (
    SELECT
        *,
        lag(count) OVER by_time AS count_before,
        lag(time) OVER by_time AS time_before,
        lead(time) OVER by_time IS NULL AS is_last,
        count(*) OVER (PARTITION BY metric, arm, moment) AS rows
    FROM timed
    WINDOW by_time AS (PARTITION BY metric, arm ORDER BY moment)
),
errors AS (
    SELECT NULL AS moment, concat('no rows of metric ', name, '; found are ', coalesce((SELECT string_agg(DISTINCT metric, ', ' ORDER BY metric) FROM aggregates), 'none')) AS error
    FROM unnest($metrics) AS wanted (name)
    ANTI JOIN timed ON metric = name
    UNION ALL
    SELECT
        moment,
        place || ': ' || CASE
            WHEN arm IS NULL
                THEN concat(CAST(count AS BIGINT), ' listeners are in no arm or in several, or have no id; leave them out, or correct them')
            WHEN missing > 0 THEN concat(CAST(missing AS BIGINT), ' listeners have no finite number; leave them out, or fill them')
            WHEN moment IS NULL OR moment < 0 THEN 'a date such as 2026-11-30 or a number is expected'
            WHEN (count BETWEEN 0 AND 1e18 AND count = floor(count)) IS NOT TRUE
                OR count > 0 AND (abs(mean) < 1e100 AND coalesce(abs(denominator_mean) < 1e100, true)) IS NOT TRUE
                THEN concat('count ', count, ', mean ', mean, '; a whole number of at least 0 and a number are expected')
            -- one that is missing matters at the last time alone
            WHEN count > 1 AND if(coalesce(isnan(variance), true), is_last, variance < 0 OR isinf(variance))
                THEN concat('variance ', coalesce(CAST(variance AS VARCHAR), 'missing'), '; a number of at least 0 is expected')
            WHEN coalesce(denominator_mean, denominator_variance, covariance) IS NOT NULL
                AND (denominator_variance >= 0 AND isfinite(denominator_mean) AND isfinite(covariance)) IS NOT TRUE
                THEN concat('a ratio has denominator_mean, denominator_variance of at least 0 and covariance; here they are ',
                    CAST([denominator_mean, denominator_variance, covariance] AS VARCHAR))
            WHEN rows > 1 THEN concat(rows, ' rows; one is expected')
            WHEN count < count_before
                THEN concat('count ', CAST(count AS BIGINT), ' after ', CAST(count_before AS BIGINT), ' at ', time_before,
                    '; counts are of all listeners so far, which never fall')
        END AS error
    FROM ordered
    UNION ALL
    SELECT
        moment,
        concat('metric ', metric, ', arm ', arm, ': no row for ', time, ', which ', arms,
            ' has; arms are compared at the same times')
    FROM (
        SELECT metric, moment, min(time) AS time, string_agg(DISTINCT arm, ', ' ORDER BY arm) AS arms
        FROM timed
        WHERE moment IS NOT NULL
        GROUP BY ALL
    )
    JOIN (SELECT DISTINCT metric, arm FROM timed) USING (metric)
    ANTI JOIN timed USING (metric, arm, moment)
)
SELECT error
FROM errors
WHERE error IS NOT NULL
ORDER BY moment NULLS FIRST, error
