-- One row per length of a session, shortest first.
-- FROM sessions(events BIGINT)
-- Columns:
--   length    BIGINT, tracks heard in the session, the organic one included
--   sessions  BIGINT, how many sessions are that long
SELECT events AS length, count(*) AS sessions
FROM sessions
GROUP BY length
ORDER BY length
