-- One row: the first event in the experiment.
-- Parameters:
--   none
-- Tables:
--   assigned(arm VARCHAR, timestamp BIGINT)
-- Columns:
--   start_ms  BIGINT, NULL where nobody is in the experiment
SELECT min(timestamp) AS start_ms
FROM assigned
WHERE arm IS NOT NULL
