-- One row per event, with the session it belongs to.
-- A logged session name is kept. Where there is none (logs of the original service) a listener's session begins at
-- its first event, after a 'last', and after a silence of more than half an hour; its name is '@' and its first
-- millisecond. Of events at the same millisecond 'next' stands before 'last', then the smaller track.
-- FROM events(user BIGINT, timestamp BIGINT, message VARCHAR, track BIGINT, time DOUBLE, recommendation BIGINT, propensity DOUBLE, session VARCHAR)
-- Columns:
--   user, timestamp, track, time, recommendation, propensity  as logged
--   session, start_ms  the session's name, unique within its listener, and its first millisecond
--   position           BIGINT, 1 for the organic track, which opens the session
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
SELECT
    user, timestamp, track, time, recommendation, propensity, session,
    min(timestamp) OVER in_session AS start_ms,
    row_number() OVER in_session AS position
FROM events
WHERE session IS NOT NULL
WINDOW in_session AS (PARTITION BY user, session ORDER BY timestamp, message DESC, track)
UNION ALL
SELECT
    user, timestamp, track, time, recommendation, propensity,
    '@' || CAST(min(timestamp) OVER in_session AS VARCHAR) AS session,
    min(timestamp) OVER in_session AS start_ms,
    row_number() OVER in_session AS position
FROM numbered
WINDOW in_session AS (PARTITION BY user, ordinal ORDER BY timestamp, message DESC, track)
