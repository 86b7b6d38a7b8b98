-- One row per listener of a slice, arm and segment with a session, closed or not.
-- FROM slice_sessions(user BIGINT, arm VARCHAR, end_ms BIGINT)
-- FROM segments(segment VARCHAR, until_ms BIGINT)
-- Columns:
--   user, arm
--   segment    VARCHAR, as in segments.sql
WITH listeners AS (
    SELECT user, arm, min(end_ms) AS end_ms
    FROM slice_sessions
    WHERE arm IS NOT NULL
    GROUP BY user, arm
)
SELECT user, arm, segment
FROM listeners
JOIN segments ON end_ms < until_ms
