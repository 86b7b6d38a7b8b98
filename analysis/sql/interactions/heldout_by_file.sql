-- One row per held-out session: those that `interactions/events.sql` named for the files to validate on.
-- Tables:
--   sessions(user BIGINT, session VARCHAR, start_ms BIGINT)
-- Columns:
--   user, session  the listener and the session's name
SELECT user, session
FROM sessions
WHERE session = 'test' OR starts_with(session, 'test ')
