-- One row per listener, by listener.
-- Parameters:
--   none
-- Tables:
--   split_events(user BIGINT, track BIGINT, time DOUBLE, session VARCHAR, organic BOOLEAN, heldout BOOLEAN)
-- Columns:
--   user
--   heldout  BOOLEAN, has a held-out session
SELECT user, bool_or(heldout) AS heldout
FROM split_events
GROUP BY user
ORDER BY user
