-- One row per event, with its timestamp and message as one number.
-- FROM events(user BIGINT, timestamp BIGINT, message VARCHAR, track BIGINT, time DOUBLE, latency DOUBLE, recommendation BIGINT, experiments VARCHAR, session VARCHAR, recommender VARCHAR, propensity DOUBLE)
-- Columns:
--   user    BIGINT
--   moment  BIGINT, twice the timestamp, and 1 more for 'last': the order of a user's events in one number
--   track, time, latency, recommendation, experiments, session, recommender, propensity  as in events
SELECT
    user,
    timestamp * 2 + CAST(message = 'last' AS BIGINT) AS moment,
    track, time, latency, recommendation, experiments, session, recommender, propensity
FROM events
