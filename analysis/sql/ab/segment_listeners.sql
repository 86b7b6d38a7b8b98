-- One row per listener of a slice, arm and segment with a session, closed or not, or of the first days of an old one.
-- FROM slice_sessions(user BIGINT, arm VARCHAR, start_ms BIGINT, end_ms BIGINT, is_old BOOLEAN)
-- FROM segments(segment VARCHAR, only_old BOOLEAN, until_ms BIGINT)
-- Columns:
--   user, arm
--   segment    VARCHAR, as in segments.sql
--   day        BIGINT, of the first session, since the epoch, UTC
WITH listeners AS (
    SELECT user, arm, min(end_ms) AS end_ms, min(start_ms) // 86400000 AS day, any_value(is_old) AS is_old
    FROM slice_sessions
    WHERE arm IS NOT NULL
    GROUP BY ALL
)
SELECT user, arm, segment, day
FROM listeners
JOIN segments ON end_ms < until_ms AND (is_old OR NOT only_old)
