-- One row per arm and pair of columns of listeners: counts, means and the sample covariance.
-- The columns are numbered from 1 in the order in which they stand below; `analysis.ab.moments` has the same list.
-- Parameters:
--   none
-- Tables:
--   listeners(arm VARCHAR, sessions BIGINT, tracks BIGINT, time DOUBLE, mean_request_latency DOUBLE, mean_tracks_per_session DOUBLE, mean_time_per_session DOUBLE, recommended_tracks BIGINT, recommended_time DOUBLE, skips BIGINT, repeats BIGINT, requests BIGINT, latency_ms DOUBLE, named BIGINT, fallbacks BIGINT, past_sessions BIGINT, past_tracks BIGINT, past_time DOUBLE, past_recommended_tracks BIGINT, past_recommended_time DOUBLE, past_skips BIGINT, past_repeats BIGINT)
--   pairs(given BIGINT, left_column BIGINT, right_column BIGINT)
-- Columns:
--   arm, given, left_column, right_column  the pair; listeners without a value in the column `given` are not counted
--   count                                  BIGINT, listeners
--   left_mean, right_mean                  DOUBLE
--   covariance                             DOUBLE, over count - 1; NULL with fewer than two
WITH lists AS (
    SELECT
        arm,
        CAST([
            sessions, tracks, time, mean_request_latency, mean_tracks_per_session, mean_time_per_session,
            recommended_tracks, recommended_time, skips, repeats, requests, latency_ms,
            named, fallbacks, past_sessions, past_tracks, past_time, past_recommended_tracks,
            past_recommended_time, past_skips, past_repeats
        ] AS DOUBLE[]) AS row_values
    FROM listeners
)
SELECT
    arm, given, left_column, right_column,
    count(*) AS count,
    avg(row_values[left_column]) AS left_mean,
    avg(row_values[right_column]) AS right_mean,
    covar_samp(row_values[left_column], row_values[right_column]) AS covariance
FROM lists
CROSS JOIN pairs
WHERE row_values[given] IS NOT NULL
GROUP BY arm, given, left_column, right_column
ORDER BY arm, given, left_column, right_column
