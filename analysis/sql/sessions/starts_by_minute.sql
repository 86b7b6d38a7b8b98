-- One row per minute in which sessions begin, oldest first.
-- FROM sessions(start_ms BIGINT)
-- Columns:
--   minute    BIGINT, minutes since the epoch, UTC
--   sessions  BIGINT, how many begin in it
SELECT start_ms // 60000 AS minute, count(*) AS sessions
FROM sessions
GROUP BY minute
ORDER BY minute
