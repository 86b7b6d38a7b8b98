-- One row per session of the listeners of a slice, as in sessions.sql.
-- Parameters:
--   none
-- Tables:
--   slice_sessions(user BIGINT, arm VARCHAR, number BIGINT)
-- Columns:
--   user, arm, number
SELECT *
FROM slice_sessions
