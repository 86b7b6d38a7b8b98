-- One row per event, with what a report needs of it.
-- Parameters:
--   none
-- Tables:
--   events(user BIGINT, timestamp BIGINT, message VARCHAR, track BIGINT, time DOUBLE, latency DOUBLE, recommendation BIGINT, experiments VARCHAR, session VARCHAR, recommender VARCHAR, propensity DOUBLE)
-- Columns:
--   user, timestamp  as in events
--   is_last          BOOLEAN, the event ends a session
--   track, time      as in events
--   latency          DOUBLE, seconds
--   recommendation   BIGINT
--   experiments      VARCHAR, JSON text
--   session          UBIGINT, hash of the logged session's name
--   recommender      VARCHAR
SELECT
    user,
    timestamp,
    message = 'last' AS is_last,
    track,
    time,
    CAST(latency AS DOUBLE) AS latency,
    recommendation,
    experiments,
    CASE WHEN session IS NOT NULL THEN hash(session) END AS session,
    recommender
FROM events
