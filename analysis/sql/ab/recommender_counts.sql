-- One row per arm and recommender: the requests that it answered.
-- Parameters:
--   none
-- Tables:
--   assigned(arm VARCHAR, is_last BOOLEAN, recommender VARCHAR)
-- Columns:
--   arm, recommender
--   requests  BIGINT
SELECT arm, recommender, count(*) AS requests
FROM assigned
WHERE arm IS NOT NULL AND recommender IS NOT NULL AND NOT is_last
GROUP BY arm, recommender
