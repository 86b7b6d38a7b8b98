-- One row per session.
-- Tables:
--   session_events(user BIGINT, track BIGINT, time DOUBLE, session VARCHAR, start_ms BIGINT, position BIGINT)
-- Columns:
--   user, session  the listener and the session's name
--   start_ms       BIGINT, the session's first millisecond
SELECT user, session, start_ms
FROM session_events
WHERE position = 1
