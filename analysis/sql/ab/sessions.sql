-- One row per closed session of a slice, and segment: what metrics read as `sessions`.
-- $start_ms  BIGINT, the experiment's start; sessions without an arm that ended before it are the past
-- FROM slice_sessions(arm VARCHAR, start_ms BIGINT, end_ms BIGINT, is_closed BOOLEAN, part BIGINT)
-- FROM segments(segment VARCHAR, part BIGINT, until_ms BIGINT)
-- Columns:
--   arm, start_ms, end_ms, is_closed, part  as in slice_sessions.sql, with what else it has; arm is NULL before the experiment
--   segment  as in segments.sql
SELECT sessions.*, segment
FROM slice_sessions AS sessions
JOIN segments
    ON end_ms < until_ms
    AND (segments.part IS NULL OR segments.part = sessions.part)
    AND (segment = '' OR arm IS NOT NULL)
WHERE is_closed AND if(arm IS NULL, end_ms < $start_ms, start_ms >= $start_ms)
