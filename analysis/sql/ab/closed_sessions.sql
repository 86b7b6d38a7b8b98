-- One row per closed session of a slice: what metrics read as `sessions`.
-- $start_ms  BIGINT, the experiment's start; sessions without an arm that ended before it are the past
-- FROM slice_sessions(arm VARCHAR, start_ms BIGINT, end_ms BIGINT, is_closed BOOLEAN)
-- Columns:
--   arm, start_ms, end_ms, is_closed  as in slice_sessions.sql, with what else it has; arm is NULL before the experiment
--   segment                           '', the whole experiment
SELECT *, '' AS segment
FROM slice_sessions
WHERE is_closed AND if(arm IS NULL, end_ms < $start_ms, start_ms >= $start_ms)
