-- One row per arm: its listeners and their closed sessions.
-- Parameters:
--   none
-- Tables:
--   listeners(arm VARCHAR, sessions BIGINT)
-- Columns:
--   arm
--   listeners  BIGINT
--   sessions   BIGINT
SELECT arm, count(*) AS listeners, CAST(sum(sessions) AS BIGINT) AS sessions
FROM listeners
GROUP BY arm
ORDER BY arm
