-- One row per session of a slice, with whether its listener was there before the experiment.
-- $start_ms  BIGINT, the experiment's first event
-- FROM slice_sessions(user BIGINT, arm VARCHAR, end_ms BIGINT)
-- Columns:
--   user, arm, end_ms  the session's, as in sessions.sql, with what else it has
--   part               VARCHAR, 'new' or 'known'
WITH earlier AS (
    SELECT user FROM slice_sessions WHERE arm IS NULL AND end_ms < $start_ms
)
SELECT *, CASE WHEN user IN (SELECT user FROM earlier) THEN 'known' ELSE 'new' END AS part
FROM slice_sessions
WHERE arm IS NOT NULL
