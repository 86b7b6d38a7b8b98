-- One row per listener of whom a metric has several rows in an arm and segment.
-- FROM measured(user BIGINT, arm VARCHAR, segment VARCHAR)
-- Columns:
--   user
SELECT DISTINCT user
FROM measured
GROUP BY user, arm, segment
HAVING count(*) > 1
ORDER BY user
