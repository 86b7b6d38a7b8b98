-- One row per listener with an event in an arm, by listener.
-- Parameters:
--   $arm  VARCHAR, the arm
-- Tables:
--   assigned(user BIGINT, arm VARCHAR)
-- Columns:
--   user
SELECT DISTINCT user
FROM assigned
WHERE arm = $arm
ORDER BY user
