-- One row per minute in which sessions begin, oldest first.
-- FROM session_events(start_ms BIGINT, position BIGINT)
-- Columns:
--   minute    BIGINT, minutes since the epoch, UTC
--   sessions  BIGINT, how many begin in it
SELECT start_ms // 60000 AS minute, count(*) AS sessions
FROM session_events
WHERE position = 1
GROUP BY minute
ORDER BY minute
