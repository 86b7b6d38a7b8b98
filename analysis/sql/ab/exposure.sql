-- One row per day and arm with a session that ended on that day: the listeners.
-- Parameters:
--   none
-- Tables:
--   listener_days(user BIGINT, arm VARCHAR, day BIGINT)
-- Columns:
--   day     BIGINT, days since the epoch, UTC
--   arm
--   active  BIGINT, listeners with a session that ended on the day
--   new     BIGINT, of these, the ones with none before
WITH ranked AS (
    SELECT user, arm, day, min(day) OVER (PARTITION BY arm, user) AS first_day
    FROM listener_days
)
SELECT day, arm, count(*) AS active, count(*) FILTER (WHERE day = first_day) AS new
FROM ranked
GROUP BY day, arm
ORDER BY day, arm
