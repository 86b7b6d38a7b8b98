-- One row per event, with the name of the session it belongs to.
-- Names are those of `sessions/session_events.sql`: a logged one is kept; where there is none, a listener's session
-- begins at its first event, after a 'last', and after a silence longer than half an hour, and is called '@' and its
-- first millisecond.
-- Parameters:
--   none
-- Tables:
--   events(user BIGINT, timestamp BIGINT, message VARCHAR, track BIGINT, time DOUBLE, recommendation BIGINT, session VARCHAR, propensity DOUBLE)
-- Columns:
--   user, timestamp, message, track, time, recommendation, propensity  as logged
--   session                                                            the session's name, unique within its listener
WITH marked AS (
    SELECT
        *,
        lag(message) OVER in_order IS NULL
        OR lag(message) OVER in_order = 'last'
        OR timestamp - lag(timestamp) OVER in_order > 1800000 AS opens
    FROM events
    WHERE session IS NULL
    WINDOW in_order AS (PARTITION BY user ORDER BY timestamp, message DESC, track)
),
numbered AS (
    SELECT
        *,
        sum(CAST(opens AS INTEGER)) OVER (
            PARTITION BY user ORDER BY timestamp, message DESC, track ROWS UNBOUNDED PRECEDING
        ) AS ordinal
    FROM marked
)
SELECT user, timestamp, message, track, time, recommendation, propensity, session
FROM events
WHERE session IS NOT NULL
UNION ALL
SELECT
    user, timestamp, message, track, time, recommendation, propensity,
    '@' || CAST(min(timestamp) OVER (PARTITION BY user, ordinal) AS VARCHAR) AS session
FROM numbered
