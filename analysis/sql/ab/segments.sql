-- One row per session of a slice in an arm, with its segments.
-- $start_ms  BIGINT, the experiment's first event
-- $days      INTEGER[], days since the epoch, UTC, by whose ends the experiment is shown
-- FROM slice_sessions(user BIGINT, arm VARCHAR, number BIGINT, start_ms BIGINT, end_ms BIGINT)
-- Columns:
--   user, arm, number  as in slice_sessions.sql
--   segments           VARCHAR[], '' for the whole experiment; days since the listener's first session in the arm (1, 2,
--                      then from 3, 5, 9 and so on); whether they were there before; each day by whose end it had ended
WITH firsts AS (
    SELECT user, arm, min(start_ms) AS first_ms FROM slice_sessions GROUP BY user, arm
),
earlier AS (
    SELECT DISTINCT user FROM slice_sessions WHERE arm IS NULL AND end_ms < $start_ms
)
SELECT
    user, arm, number,
    [
        '',
        'time since the first session=' || CASE (start_ms - first_ms) // 86400000
            WHEN 0 THEN 'day 1'
            WHEN 1 THEN 'day 2'
            ELSE 'from day ' || CAST(pow(2, floor(log2((start_ms - first_ms) // 86400000))) + 1 AS BIGINT)
        END,
        'listeners new or known before=' || if(earlier.user IS NULL, 'new', 'known')
    ] || ['until=' || (DATE '1970-01-01' + day) FOR day IN CAST($days AS INTEGER[]) IF day >= end_ms // 86400000] AS segments
FROM slice_sessions
JOIN firsts USING (user, arm)
LEFT JOIN earlier USING (user)
