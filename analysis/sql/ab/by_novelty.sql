-- One row per session of a slice, with the days since its listener's first session in the arm.
-- FROM slice_sessions(user BIGINT, arm VARCHAR, start_ms BIGINT)
-- Columns:
--   user, arm, start_ms  the session's, as in sessions.sql, with what else it has
--   part                 VARCHAR, 'day 1', 'day 2', then 'from day 3', 'from day 5', 'from day 9' and so on
WITH counted AS (
    SELECT *, (start_ms - min(start_ms) OVER (PARTITION BY user, arm)) // 86400000 AS days
    FROM slice_sessions
    WHERE arm IS NOT NULL
)
SELECT
    * EXCLUDE (days),
    CASE WHEN days < 2 THEN 'day ' || (days + 1) ELSE 'from day ' || CAST(pow(2, floor(log2(days))) + 1 AS BIGINT) END
    AS part
FROM counted
