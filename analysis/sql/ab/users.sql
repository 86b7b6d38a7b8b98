-- One row per listener.
-- FROM events(user BIGINT)
-- Columns:
--   user
SELECT DISTINCT user
FROM events
