-- One row per session of a slice.
-- FROM slice_sessions(arm VARCHAR)
-- Columns:
--   arm   the session's, as in sessions.sql, with what else it has
--   part  BIGINT, 0
SELECT *, 0 AS part
FROM slice_sessions
WHERE arm IS NOT NULL
