-- One row per session of a slice, with the days since its listener's first session in the arm.
-- FROM slice_sessions(user BIGINT, arm VARCHAR, number BIGINT, start_ms BIGINT)
-- Columns:
--   user, arm, number  the session
--   part               VARCHAR, 'day 1', 'day 2', then 'from day 3', 'from day 5', 'from day 9' and so on
WITH counted AS (
    SELECT user, arm, number, (start_ms - min(start_ms) OVER (PARTITION BY user, arm)) // 86400000 AS days
    FROM slice_sessions
    WHERE arm IS NOT NULL
)
SELECT
    user, arm, number,
    CASE
        WHEN days < 2 THEN 'day ' || (days + 1)
        ELSE 'from day ' || CAST(pow(2, floor(log2(days))) + 1 AS BIGINT)
    END AS part
FROM counted
