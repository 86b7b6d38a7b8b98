-- One row per text of experiments and recommender that the events of a batch name; either may be NULL.
-- FROM batch(timestamp BIGINT, is_last BOOLEAN, experiments VARCHAR, recommender VARCHAR)
-- Columns:
--   experiments, recommender  as in batch
--   events       BIGINT
--   requests     BIGINT, events that asked for a recommendation
--   start_ms, end_ms  BIGINT, the first and the last event
SELECT
    experiments, recommender,
    count(*) AS events,
    count(*) FILTER (WHERE NOT is_last) AS requests,
    min(timestamp) AS start_ms,
    max(timestamp) AS end_ms
FROM batch
GROUP BY experiments, recommender
