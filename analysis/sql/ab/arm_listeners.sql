-- One row per listener of an arm in a table that has rows by listener, arm and part, for one part, by listener.
-- $arm  VARCHAR, the arm; NULL for the time before the experiment
-- FROM by_listener(user BIGINT, arm VARCHAR, part BIGINT)
-- Columns:
--   user  with what else the table has
SELECT * EXCLUDE (arm, part)
FROM by_listener
WHERE arm IS NOT DISTINCT FROM $arm
ORDER BY user
