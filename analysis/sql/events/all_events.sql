-- One row per event, as it was read.
-- Parameters:
--   none
-- Tables:
--   events(user BIGINT, timestamp BIGINT, message VARCHAR, track BIGINT, time DOUBLE, latency DOUBLE, recommendation BIGINT, experiments VARCHAR, session VARCHAR, recommender VARCHAR, propensity DOUBLE)
-- Columns:
--   user, timestamp, message, track, time, latency, recommendation, experiments, session, recommender, propensity  as in events.sql
SELECT user, timestamp, message, track, time, latency, recommendation, experiments, session, recommender, propensity
FROM events
