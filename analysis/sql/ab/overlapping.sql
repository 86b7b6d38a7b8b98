-- One row per listener and arm with two logged sessions at the same time.
-- FROM assigned(user BIGINT, arm VARCHAR, timestamp BIGINT, session UBIGINT)
-- Columns:
--   user, arm
WITH spans AS (
    SELECT user, arm, session, min(timestamp) AS start_ms, max(timestamp) AS end_ms
    FROM assigned
    WHERE arm IS NOT NULL AND session IS NOT NULL
    GROUP BY user, arm, session
),
compared AS (
    SELECT
        user, arm, start_ms,
        max(end_ms) OVER (
            PARTITION BY user, arm ORDER BY start_ms, end_ms ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS end_before
    FROM spans
)
SELECT DISTINCT user, arm
FROM compared
WHERE start_ms < end_before
