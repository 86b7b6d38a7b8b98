-- One row per day: the listeners whose first event in the experiment is on it, and the events.
-- $assigned_file  VARCHAR, Parquet file of the events of a slice
-- FROM assigned(user BIGINT, arm VARCHAR, timestamp BIGINT)
-- Columns:
--   day        BIGINT, days since the epoch, UTC
--   listeners  BIGINT
--   events     BIGINT
SELECT day, count(*) FILTER (WHERE is_first) AS listeners, count(*) AS events
FROM (
    SELECT timestamp // 86400000 AS day, row_number() OVER (PARTITION BY user ORDER BY timestamp) = 1 AS is_first
    FROM read_parquet($assigned_file)
    WHERE arm IS NOT NULL
)
GROUP BY day
