-- One row: the listeners who were in more than one arm.
-- Parameters:
--   none
-- Tables:
--   listeners(user BIGINT, arm VARCHAR)
-- Columns:
--   listeners  BIGINT
WITH changing AS (
    SELECT user
    FROM listeners
    GROUP BY user
    HAVING count(*) > 1
)
SELECT count(*) AS listeners
FROM changing
