-- One row per arm and recommender: the requests of a batch that it answered.
-- Parameters:
--   none
-- Tables:
--   batch(experiments VARCHAR, is_last BOOLEAN, recommender VARCHAR)
--   arms(experiments VARCHAR, arm VARCHAR)
-- Columns:
--   arm, recommender
--   requests  BIGINT
SELECT arm, recommender, count(*) AS requests
FROM batch
JOIN arms ON arms.experiments IS NOT DISTINCT FROM batch.experiments
WHERE recommender IS NOT NULL AND NOT is_last
GROUP BY arm, recommender
