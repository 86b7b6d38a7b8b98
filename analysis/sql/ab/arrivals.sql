-- One row per day on which an event of the experiment is, and arm, in order: the listeners whose first one it has, and its events.
-- FROM assigned(user BIGINT, arm VARCHAR, timestamp BIGINT)
-- Columns:
--   day        BIGINT, days since the epoch, UTC
--   arm
--   listeners  BIGINT
--   events     BIGINT
WITH listener_days AS (
    SELECT user, timestamp // 86400000 AS day, min_by(arm, timestamp) AS arm, count(*) AS events
    FROM assigned
    WHERE arm IS NOT NULL
    GROUP BY user, day
),
in_order AS (
    SELECT day, arm, events, min(day) OVER (PARTITION BY user) = day AS is_first
    FROM listener_days
)
SELECT day, arm, count(*) FILTER (is_first) AS listeners, CAST(sum(events) AS BIGINT) AS events
FROM in_order
GROUP BY day, arm
ORDER BY day, arm
