-- One row per listener and length of a session, by listener, then length.
-- FROM sessions(user BIGINT, events BIGINT)
-- Columns:
--   user
--   length    BIGINT, tracks heard in the session, the organic one included
--   sessions  BIGINT, how many of the listener's sessions are that long
SELECT user, events AS length, count(*) AS sessions
FROM sessions
GROUP BY user, length
ORDER BY user, length
