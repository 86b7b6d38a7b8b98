-- One row per arm and position in the session, in that order, from the rows of positions.sql of every slice.
-- FROM positions(arm VARCHAR, position BIGINT, events BIGINT, exact_time HUGEINT)
-- Columns:
--   arm
--   position   BIGINT, 1 for the organic track
--   events     BIGINT
--   mean_time  DOUBLE, mean share of the track that was heard
SELECT arm, position, CAST(sum(events) AS BIGINT) AS events, sum(exact_time) / pow(2, 80) / sum(events) AS mean_time
FROM positions
GROUP BY arm, position
ORDER BY arm, position
