-- One row per listener of a slice, arm and segment with a session, closed or not, or of the first days of an old one.
-- FROM slice_sessions(user BIGINT, arm VARCHAR, end_ms BIGINT, part BIGINT)
-- FROM segments(segment VARCHAR, part BIGINT, until_ms BIGINT)
-- Columns:
--   user, arm
--   segment    VARCHAR, as in segments.sql
WITH listeners AS (
    SELECT user, arm, min(end_ms) AS end_ms, any_value(part) IS NOT NULL AS is_old
    FROM slice_sessions
    WHERE arm IS NOT NULL
    GROUP BY ALL
)
SELECT user, arm, segment
FROM listeners
JOIN segments ON end_ms < until_ms AND (part IS NULL OR is_old)
