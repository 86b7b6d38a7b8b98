-- One row per arm: quantiles of the size of its closed sessions.
-- Parameters:
--   none
-- Tables:
--   sessions(arm VARCHAR, is_closed BOOLEAN, tracks BIGINT, time HUGEINT)
-- Columns:
--   arm
--   tracks  DOUBLE[], the 10th, 50th, 90th and 99th percentile of the events of a session
--   time    DOUBLE[], of its listening time
SELECT
    arm,
    quantile_cont(CAST(tracks AS DOUBLE), [0.1, 0.5, 0.9, 0.99]) AS tracks,
    quantile_cont(time / pow(2, 80), [0.1, 0.5, 0.9, 0.99]) AS time
FROM sessions
WHERE arm IS NOT NULL AND is_closed
GROUP BY arm
ORDER BY arm
