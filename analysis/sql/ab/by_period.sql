-- One row per session of a slice, with the period in which it ended. Before the experiment only closed ones count.
-- $period_ms  BIGINT, length of a period; 0 for one period
-- $start_ms   BIGINT, the experiment's first event; sessions without an arm that ended before it are the past, 0 for none
-- FROM slice_sessions(arm VARCHAR, is_closed BOOLEAN, end_ms BIGINT)
-- Columns:
--   arm, is_closed, end_ms  the session's, as in sessions.sql, with what else it has
--   part                    BIGINT, periods since the epoch, UTC; 0 for one period
SELECT *, CASE WHEN $period_ms > 0 THEN end_ms // $period_ms ELSE 0 END AS part
FROM slice_sessions
WHERE arm IS NOT NULL OR (is_closed AND end_ms < $start_ms)
