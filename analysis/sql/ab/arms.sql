-- One row per arm, by name.
-- FROM assigned(arm VARCHAR, recommender VARCHAR, message VARCHAR, timestamp BIGINT)
-- Columns:
--   arm
--   first_ms  BIGINT, its first event
--   own       VARCHAR, the recommender that answered most of its requests, of equal ones the first by name; NULL without one
WITH counted AS (
    SELECT arm, recommender, count(*) FILTER (WHERE message = 'next') AS requests, min(timestamp) AS first_ms
    FROM assigned
    WHERE arm IS NOT NULL
    GROUP BY arm, recommender
)
SELECT
    arm,
    min(first_ms) AS first_ms,
    first(recommender ORDER BY requests DESC, recommender) FILTER (WHERE recommender IS NOT NULL AND requests > 0) AS own
FROM counted
GROUP BY arm
ORDER BY arm
