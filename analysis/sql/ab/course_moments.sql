-- One row per arm and metric of the course: its count, mean and sample variance over listeners.
-- A listener without a value, for lack of a closed session, is not counted.
-- Parameters:
--   none
-- Tables:
--   listeners(arm VARCHAR, time DOUBLE, sessions BIGINT, mean_request_latency DOUBLE, mean_tracks_per_session DOUBLE, mean_time_per_session DOUBLE)
-- Columns:
--   arm
--   metric    VARCHAR
--   count     BIGINT, listeners with a value
--   mean      DOUBLE
--   variance  DOUBLE, over count - 1; NULL with fewer than two
WITH metrics AS (
    SELECT
        arm,
        time,
        CAST(sessions AS DOUBLE) AS sessions,
        mean_request_latency,
        mean_tracks_per_session,
        mean_time_per_session
    FROM listeners
),
named AS (
    UNPIVOT metrics
    ON time, sessions, mean_request_latency, mean_tracks_per_session, mean_time_per_session
    INTO NAME metric VALUE value
)
SELECT arm, metric, count(*) AS count, avg(value) AS mean, var_samp(value) AS variance
FROM named
GROUP BY arm, metric
ORDER BY arm, metric
