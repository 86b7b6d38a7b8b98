-- One row per event of a batch, with what a report needs of it.
-- $whole  BOOLEAN, false for the original table alone: columns that it does not use are then NULL, and are not read
-- FROM events(user BIGINT, timestamp BIGINT, message VARCHAR, track BIGINT, time DOUBLE, latency DOUBLE, recommendation BIGINT, experiments VARCHAR, recommender VARCHAR)
-- Columns:
--   user, timestamp  as in events
--   is_last          BOOLEAN, the event ends a session
--   track, time, latency, recommendation, experiments  as in events
--   recommender      as in events
SELECT
    user, timestamp,
    message = 'last' AS is_last,
    CASE WHEN $whole THEN track END AS track,
    time,
    CAST(latency AS DOUBLE) AS latency,
    CASE WHEN $whole THEN recommendation END AS recommendation,
    experiments,
    CASE WHEN $whole THEN recommender END AS recommender
FROM events
