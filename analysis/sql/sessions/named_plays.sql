-- One row per play, with its amount and the name of its session.
-- A session keeps its own name. Plays without one are divided: a session begins at the listener's first play, after a 'last', and
-- after a silence; its name is '@' and its first millisecond. A play that the listener chose begins a session, too; within a named
-- session, the name is followed by '@' and that play's millisecond. Plays without moments are a session for each listener and track.
-- In a split by files, training and validation are sessions of their own, and plays of other files are left out. Plays at the same
-- millisecond: 'next' stands before 'last', then the smaller track.
-- $silence_ms   BIGINT, a longer silence ends a session
-- $by_row       BOOLEAN, each moment of a listener whose shares are unknown is a session, for a split by the newest
-- $has_moments  BOOLEAN, timestamps are moments, neither missing nor positions
-- $skip         DOUBLE, a smaller share, or a smaller amount if it is above 1, is a skip; NULL if none is
-- $train        VARCHAR[], digests of the files to learn from; empty unless the split is by files
-- $test         VARCHAR[], digests of the files to validate on; empty if a share of the others' sessions is held out
-- FROM stored(user BIGINT, timestamp BIGINT, track BIGINT, amount DOUBLE, share DOUBLE, session VARCHAR, organic BOOLEAN, disliked BOOLEAN, source VARCHAR, message VARCHAR)
-- Columns:
--   user, track  as stored
--   timestamp    BIGINT, as stored, 0 if it is missing
--   amount       DOUBLE, as stored, or else the share
--   share        DOUBLE, as stored
--   skipped      BOOLEAN, the play is a skip, or the listener disliked the track
--   ends         BOOLEAN, the message is 'last'
--   session      VARCHAR, unique within its listener
WITH chosen AS (
    SELECT
        user, track, share, organic,
        coalesce(timestamp, 0) AS timestamp,
        coalesce(amount, share) AS amount,
        coalesce(if($skip <= 1, share, amount) < $skip OR disliked, false) AS skipped,
        coalesce(message = 'last', false) AS ends,
        CASE
            WHEN list_contains($test, source) THEN concat_ws(' ', 'test', session)
            WHEN len($test) > 0 THEN concat_ws(' ', 'train', session)
            WHEN $by_row AND share IS NULL THEN '@' || timestamp
            WHEN session IS NOT NULL THEN session
            WHEN NOT $has_moments THEN '#' || track
        END AS session
    FROM stored
    WHERE len($train) = 0 OR list_contains($train || $test, source)
),
marked AS (
    SELECT
        *,
        lag(ends) OVER in_order AS follows_last,
        (organic AND follows_last IS NOT NULL)
        OR (session IS NULL AND coalesce(follows_last OR timestamp - lag(timestamp) OVER in_order > $silence_ms, true)) AS opens
    FROM chosen
    WHERE session IS NULL OR organic IS NOT NULL
    WINDOW in_order AS (PARTITION BY user, session ORDER BY timestamp, ends, track)
)
SELECT user, track, timestamp, amount, share, skipped, ends, session
FROM chosen
WHERE session IS NOT NULL AND organic IS NULL
UNION ALL
SELECT
    user, track, timestamp, amount, share, skipped, ends,
    concat(session, '@' || max(timestamp) FILTER (opens) OVER so_far) AS session
FROM marked
WINDOW so_far AS (PARTITION BY user, session ORDER BY timestamp, ends, track ROWS UNBOUNDED PRECEDING)
