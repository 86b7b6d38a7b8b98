-- One row per session.
-- Parameters:
--   none
-- Tables:
--   named_events(user BIGINT, timestamp BIGINT, message VARCHAR, track BIGINT, time DOUBLE, recommendation BIGINT, propensity DOUBLE, session VARCHAR)
-- Columns:
--   user, session  the listener and the session's name
--   start_ms       BIGINT, the session's first millisecond
SELECT user, session, min(timestamp) AS start_ms
FROM named_events
GROUP BY user, session
