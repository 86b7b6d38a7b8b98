-- One row per listener, by listener.
-- FROM sessions(user BIGINT)
-- Columns:
--   user
SELECT DISTINCT user
FROM sessions
ORDER BY user
