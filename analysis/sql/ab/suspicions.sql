-- One row per kind of impossible behaviour and arm: who shows it.
-- Parameters:
--   none
-- Tables:
--   suspects(kind VARCHAR, arm VARCHAR, user BIGINT)
-- Columns:
--   kind, arm
--   listeners  BIGINT
--   examples   BIGINT[], the three smallest ids
SELECT kind, arm, count(*) AS listeners, min(user, 3) AS examples
FROM suspects
GROUP BY kind, arm
ORDER BY kind, arm
