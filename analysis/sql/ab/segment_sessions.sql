-- One row per closed session of a slice and segment: what metrics that decide read as `sessions`.
-- FROM closed_sessions(arm VARCHAR, end_ms BIGINT, part BIGINT, segment VARCHAR)
-- FROM segments(segment VARCHAR, part BIGINT, until_ms BIGINT)
-- Columns:
--   arm, end_ms, part  as in closed_sessions.sql, with what else it has
--   segment            VARCHAR, as in segments.sql; '' before the experiment
SELECT sessions.* EXCLUDE (segment), segments.segment
FROM closed_sessions AS sessions
JOIN segments ON end_ms < until_ms AND (segments.part IS NULL OR segments.part = sessions.part)
WHERE arm IS NOT NULL OR segments.segment = ''
