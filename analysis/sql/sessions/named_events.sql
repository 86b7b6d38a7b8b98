-- One row per event, with the name of its session.
-- A logged session name is kept. Where there is none (logs of the original service) a listener's session begins at
-- its first event, after a 'last', and after a silence of more than half an hour; its name is '@' and its first
-- millisecond. Of events at the same millisecond 'next' stands before 'last', then the smaller track.
-- FROM events(user BIGINT, timestamp BIGINT, message VARCHAR, track BIGINT, time DOUBLE, session VARCHAR)
-- Columns:
--   user, timestamp, message, track, time  as logged
--   session  the session's name, unique within its listener
WITH marked AS (
    SELECT
        *,
        lag(message, 1, 'last') OVER in_order = 'last'
        OR timestamp - lag(timestamp) OVER in_order > 1800000 AS opens
    FROM events
    WHERE session IS NULL
    WINDOW in_order AS (PARTITION BY user ORDER BY timestamp, message DESC, track)
)
SELECT user, timestamp, message, track, time, session
FROM events
WHERE session IS NOT NULL
UNION ALL
SELECT
    user, timestamp, message, track, time,
    '@' || max(timestamp) FILTER (opens) OVER so_far AS session
FROM marked
WINDOW so_far AS (PARTITION BY user ORDER BY timestamp, message DESC, track ROWS UNBOUNDED PRECEDING)
