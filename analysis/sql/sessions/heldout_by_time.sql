-- One row per held-out session: those that begin at a moment or after it.
-- Parameters:
--   $cutoff_ms  BIGINT, milliseconds since the epoch, UTC
-- Tables:
--   sessions(user BIGINT, session VARCHAR, start_ms BIGINT)
-- Columns:
--   user, session  the listener and the session's name
SELECT user, session
FROM sessions
WHERE start_ms >= $cutoff_ms
