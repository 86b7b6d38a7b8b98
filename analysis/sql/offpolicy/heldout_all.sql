-- One row per held-out session: all of them, where none was learned from.
-- Parameters:
--   none
-- Tables:
--   sessions(user BIGINT, session VARCHAR, start_ms BIGINT)
-- Columns:
--   user, session  the listener and the session's name
SELECT user, session
FROM sessions
