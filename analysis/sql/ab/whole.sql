-- One row per session of a slice. Before the experiment only closed ones count.
-- $start_ms   BIGINT, the experiment's first event; sessions without an arm that ended before it are the past
-- FROM slice_sessions(arm VARCHAR, is_closed BOOLEAN, end_ms BIGINT)
-- Columns:
--   arm, is_closed, end_ms  the session's, as in sessions.sql, with what else it has
--   part                    BIGINT, 0
SELECT *, 0 AS part
FROM slice_sessions
WHERE arm IS NOT NULL OR (is_closed AND end_ms < $start_ms)
