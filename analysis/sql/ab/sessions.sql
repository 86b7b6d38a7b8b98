-- One row per closed session of a slice, and segment: what metrics read as `sessions`.
-- $start_ms  BIGINT, the experiment's start; sessions without an arm that ended before it are the past
-- FROM slice_sessions(arm VARCHAR, start_ms BIGINT, end_ms BIGINT, is_closed BOOLEAN, parts VARCHAR[])
-- FROM segments(segment VARCHAR, is_part BOOLEAN, until_ms BIGINT)
-- Columns:
--   arm, start_ms, end_ms, is_closed, parts  as in slice_sessions.sql, with what else it has; arm is NULL before the experiment
--   segment  as in segments.sql
SELECT sessions.*, segment
FROM slice_sessions AS sessions
JOIN segments
    ON end_ms < until_ms
    AND (NOT is_part OR list_contains(parts, segment))
    AND (segment = '' OR arm IS NOT NULL)
WHERE is_closed AND if(arm IS NULL, end_ms < $start_ms, start_ms >= $start_ms)
