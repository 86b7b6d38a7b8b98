-- One row per listener, by listener.
-- FROM split_events(user BIGINT, track BIGINT, time DOUBLE, session VARCHAR, organic BOOLEAN, heldout BOOLEAN)
-- Columns:
--   user
SELECT DISTINCT user
FROM split_events
ORDER BY user
