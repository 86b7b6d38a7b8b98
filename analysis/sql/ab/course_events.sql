-- One row per event, with what the course's table needs of it; for the rest there are NULLs.
-- Parameters:
--   none
-- Tables:
--   events(user BIGINT, timestamp BIGINT, message VARCHAR, time DOUBLE, latency DOUBLE, experiments VARCHAR)
-- Columns:
--   user, timestamp, is_last, track, time, latency, recommendation, experiments, session, recommender  as in log_events.sql
SELECT
    user,
    timestamp,
    message = 'last' AS is_last,
    CAST(NULL AS BIGINT) AS track,
    time,
    CAST(latency AS DOUBLE) AS latency,
    CAST(NULL AS BIGINT) AS recommendation,
    experiments,
    CAST(NULL AS UBIGINT) AS session,
    CAST(NULL AS VARCHAR) AS recommender
FROM events
