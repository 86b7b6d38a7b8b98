-- One row per pair of experiments and recommender that events name.
-- FROM events(experiments VARCHAR, recommender VARCHAR)
-- Columns:
--   experiments, recommender  as in events
SELECT DISTINCT experiments, recommender
FROM events
