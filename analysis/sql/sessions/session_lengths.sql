-- One row per length of a session, shortest first.
-- FROM session_events(user BIGINT, track BIGINT, time DOUBLE, session VARCHAR, start_ms BIGINT, position BIGINT)
-- Columns:
--   length    BIGINT, tracks heard in the session, the organic one included
--   sessions  BIGINT, how many sessions are that long
SELECT length, count(*) AS sessions
FROM (SELECT count(*) AS length FROM session_events GROUP BY user, session)
GROUP BY length
ORDER BY length
