-- One row per play, with the name of its session.
-- A session's own name is kept. Plays without one are divided: a listener's session begins at the first play, after a 'last', and
-- after a silence; its name is '@' and its first millisecond. Plays without moments are a session for each listener and track. In a
-- split by files, training and validation are sessions of their own, and plays of other files are left out.
-- Plays at the same millisecond: 'next' stands before 'last', then the smaller track.
-- $silence_ms   BIGINT, a longer silence ends a session
-- $by_row       BOOLEAN, each moment of a listener is a session, for a split by the newest
-- $has_moments  BOOLEAN, timestamps are moments, neither missing nor positions
-- $train        VARCHAR[], digests of the files to learn from; empty unless the split is by files
-- $test         VARCHAR[], digests of the files to validate on; empty if a share of the others' sessions is held out
-- FROM plays(user BIGINT, timestamp BIGINT, message VARCHAR, track BIGINT, time DOUBLE, session VARCHAR, source VARCHAR)
-- Columns:
--   user       as stored
--   timestamp  BIGINT, as stored, 0 if it is missing
--   message, track, time  as stored
--   session    VARCHAR, unique within its listener
WITH chosen AS (
    SELECT
        user, message, track, time,
        coalesce(timestamp, 0) AS timestamp,
        CASE
            WHEN list_contains($test, source) THEN concat_ws(' ', 'test', session)
            WHEN len($test) > 0 THEN concat_ws(' ', 'train', session)
            WHEN $by_row THEN '@' || timestamp
            WHEN session IS NOT NULL THEN session
            WHEN NOT $has_moments THEN '#' || track
        END AS session
    FROM plays
    WHERE len($train) = 0 OR list_contains($train || $test, source)
),
marked AS (
    SELECT
        *,
        lag(message, 1, 'last') OVER in_order = 'last'
        OR timestamp - lag(timestamp) OVER in_order > $silence_ms AS opens
    FROM chosen
    WHERE session IS NULL
    WINDOW in_order AS (PARTITION BY user ORDER BY timestamp, message DESC, track)
)
SELECT user, timestamp, message, track, time, session
FROM chosen
WHERE session IS NOT NULL
UNION ALL
SELECT
    user, timestamp, message, track, time,
    '@' || max(timestamp) FILTER (opens) OVER so_far AS session
FROM marked
WINDOW so_far AS (PARTITION BY user ORDER BY timestamp, message DESC, track ROWS UNBOUNDED PRECEDING)
