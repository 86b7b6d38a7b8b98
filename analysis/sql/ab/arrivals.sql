-- One row per day, by day: the listeners whose first event in the experiment is on it, and the events.
-- FROM assigned(user BIGINT, arm VARCHAR, timestamp BIGINT)
-- Columns:
--   day        BIGINT, days since the epoch, UTC
--   listeners  BIGINT
--   events     BIGINT
WITH firsts AS (
    SELECT user, min(timestamp) // 86400000 AS day
    FROM assigned
    WHERE arm IS NOT NULL
    GROUP BY user
),
counted AS (
    SELECT day, 1 AS listeners, 0 AS events FROM firsts
    UNION ALL
    SELECT timestamp // 86400000 AS day, 0 AS listeners, 1 AS events FROM assigned WHERE arm IS NOT NULL
)
SELECT day, CAST(sum(listeners) AS BIGINT) AS listeners, CAST(sum(events) AS BIGINT) AS events
FROM counted
GROUP BY day
ORDER BY day
