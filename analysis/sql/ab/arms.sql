-- One row per arm, by name.
-- FROM assigned(arm VARCHAR, recommender VARCHAR, message VARCHAR, timestamp BIGINT)
-- Columns:
--   arm
--   first_ms  BIGINT, its first event
--   own       VARCHAR, the recommender that answered most of its requests, of equal ones the first by name; NULL without one
WITH counted AS (
    SELECT arm, recommender, count(*) FILTER (message = 'next') AS requests, min(timestamp) AS first_ms
    FROM assigned
    WHERE arm IS NOT NULL
    GROUP BY ALL
)
SELECT
    arm,
    min(first_ms) AS first_ms,
    min_by(recommender, (-requests, recommender)) FILTER (requests > 0) AS own
FROM counted
GROUP BY arm
ORDER BY arm
