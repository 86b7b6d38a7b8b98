-- One row per listener, in order.
-- FROM split_events(user BIGINT)
-- Columns:
--   user
SELECT DISTINCT user
FROM split_events
ORDER BY user
