-- One row per day on which an event of the experiment is, in order: the listeners whose first one it has, and its events.
-- FROM assigned(user BIGINT, arm VARCHAR, timestamp BIGINT)
-- Columns:
--   day        BIGINT, days since the epoch, UTC
--   listeners  BIGINT
--   events     BIGINT
WITH begun AS (
    SELECT timestamp // 86400000 AS day, count(*) AS listeners
    FROM (SELECT user, min(timestamp) AS timestamp FROM assigned WHERE arm IS NOT NULL GROUP BY user)
    GROUP BY ALL
)
SELECT timestamp // 86400000 AS day, coalesce(any_value(listeners), 0) AS listeners, count(*) AS events
FROM assigned
LEFT JOIN begun ON begun.day = timestamp // 86400000
WHERE arm IS NOT NULL
GROUP BY ALL
ORDER BY day
