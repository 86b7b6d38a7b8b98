-- One row per line of an event log whose lines are all in the form of `analysis.logs.fast_path`: each value is known to be
-- of its key's kind, so that reading it as a type casts nothing. A line with a value out of its range fails the
-- statement with 'odd line'. The rules are those of events.sql. NULL in a condition is odd.
-- Parameters:
--   none
-- Tables:
--   log_values(message VARCHAR, timestamp BIGINT, user BIGINT, track BIGINT, time DOUBLE, latency DOUBLE, recommendation BIGINT, experiments VARCHAR, session VARCHAR, recommender VARCHAR, propensity DOUBLE)
-- Columns:
--   user, timestamp, message, track, time, latency, recommendation, experiments, session, recommender, propensity  as in events.sql
SELECT
    CASE
        WHEN message IN ('next', 'last')
        AND timestamp BETWEEN 100000000000 AND 99999999999999
        AND user >= 0
        AND track >= 0
        AND time BETWEEN 0 AND 1
        AND (latency IS NULL OR latency BETWEEN 0 AND 1000000)
        AND (recommendation IS NULL OR recommendation >= 0)
        AND (session IS NULL OR session <> '')
        AND (propensity IS NULL OR (propensity > 0 AND propensity <= 1))
        THEN user
        ELSE error('odd line')
    END AS user,
    timestamp, message, track, time, latency, recommendation, experiments, session, recommender, propensity
FROM log_values
