-- One row per arm, by name.
-- FROM assigned(arm VARCHAR, recommender VARCHAR, message VARCHAR, timestamp BIGINT)
-- Columns:
--   arm
--   first_ms  BIGINT, its first event
--   own       VARCHAR, the recommender that answered most of its requests, of equal ones the first by name; NULL without one
--   periods   STRUCT[], the `day` since the epoch from which on a `recommender` gave most answers, for each change
WITH counted AS (
    SELECT
        arm, recommender, timestamp // 86400000 AS day,
        count(*) FILTER (message = 'next') AS requests, min(timestamp) AS first_ms
    FROM assigned
    WHERE arm IS NOT NULL
    GROUP BY ALL
),
days AS (
    SELECT arm, day, recommender
    FROM counted
    WHERE requests > 0
    -- by a clear majority
    QUALIFY requests > 0.6 * sum(requests) OVER (PARTITION BY arm, day)
),
changes AS (
    SELECT arm, day, recommender
    FROM days
    QUALIFY recommender IS DISTINCT FROM lag(recommender) OVER (PARTITION BY arm ORDER BY day)
),
totals AS (
    SELECT arm, recommender, sum(requests) AS requests, min(first_ms) AS first_ms
    FROM counted
    GROUP BY ALL
)
SELECT
    arm,
    min(first_ms) AS first_ms,
    min_by(recommender, (-requests, recommender)) FILTER (requests > 0) AS own,
    (
        SELECT list({'day': day, 'recommender': recommender} ORDER BY day)
        FROM changes
        WHERE changes.arm = totals.arm AND recommender IS NOT NULL
    ) AS periods
FROM totals
GROUP BY arm
ORDER BY arm
