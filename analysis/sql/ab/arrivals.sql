-- One row per day on which an event of the experiment is, in order: the listeners whose first one it has, and its events.
-- FROM assigned(user BIGINT, arm VARCHAR, timestamp BIGINT)
-- Columns:
--   day        BIGINT, days since the epoch, UTC
--   listeners  BIGINT
--   events     BIGINT
WITH listener_days AS (
    SELECT user, timestamp // 86400000 AS day, count(*) AS events
    FROM assigned
    WHERE arm IS NOT NULL
    GROUP BY ALL
),
in_order AS (
    SELECT day, events, min(day) OVER (PARTITION BY user) = day AS is_first
    FROM listener_days
)
SELECT day, count(*) FILTER (is_first) AS listeners, CAST(sum(events) AS BIGINT) AS events
FROM in_order
GROUP BY day
ORDER BY day
