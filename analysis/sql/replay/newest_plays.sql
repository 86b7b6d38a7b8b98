-- One row per play that an export has not learned from, by listener, who began earliest first, each in the order of the plays.
-- If plays have times, they are later than all plays that the export has learned from, else later than their listener's.
-- A copy of a play, at the same moment and in the same session, counts once.
-- The file names the sessions, or else a silence ends a session; if only positions are known, each listener has a single session.
-- $silence_ms   BIGINT, a longer silence ends a session
-- $has_moments  BOOLEAN, timestamps are moments, else positions
-- FROM checked(source VARCHAR, row BIGINT, user VARCHAR, track VARCHAR, share DOUBLE, timestamp BIGINT, session VARCHAR, position DOUBLE, reason VARCHAR)
-- FROM learned(user VARCHAR, latest BIGINT)
-- Columns:
--   listener   BIGINT, from 0
--   user, track  VARCHAR, ids as they stand in the file
--   timestamp  BIGINT, the moment in ms, or the position
--   time       DOUBLE, share 0..1 that was heard, 1 if the file does not say
--   opens      UTINYINT, 1 if it begins a session
--   is_repeat  UTINYINT, 1 if the file has an earlier play of the track by the listener
--   is_unplayed  UTINYINT, 1 if the export has learned from no play of the track in the file
--   is_known   UTINYINT, 1 if the export has learned from plays of the listener
WITH plays AS (
    SELECT DISTINCT ON (user, track, timestamp, session) *
    FROM checked
    WHERE reason IS NULL
    ORDER BY user, track, timestamp, session, position, source, row
),
ordered AS (
    SELECT
        user, track, share, timestamp, session, latest,
        row_number() OVER (PARTITION BY user ORDER BY timestamp, session, position, source, row) AS ordinal,
        row_number() OVER (PARTITION BY user, track ORDER BY timestamp, session, position, source, row) > 1 AS is_repeat,
        min(coalesce(timestamp > latest, true)) OVER (PARTITION BY track) AS is_unplayed
    FROM plays
    LEFT JOIN learned USING (user)
),
newest AS (
    SELECT *, min(timestamp) OVER (PARTITION BY user) AS began
    FROM ordered
    WHERE timestamp > coalesce(CASE WHEN $has_moments THEN (SELECT max(latest) FROM learned) ELSE latest END, -1)
)
SELECT
    dense_rank() OVER (ORDER BY began, user) - 1 AS listener,
    user, track, timestamp,
    coalesce(share, 1.0) AS time,
    CAST(
        lag(ordinal) OVER in_order IS NULL
        OR coalesce(
            session <> lag(session) OVER in_order,
            $has_moments AND timestamp - lag(timestamp) OVER in_order > $silence_ms
        ) AS UTINYINT
    ) AS opens,
    CAST(is_repeat AS UTINYINT) AS is_repeat,
    CAST(is_unplayed AS UTINYINT) AS is_unplayed,
    CAST(coalesce(latest, -1) >= 0 AS UTINYINT) AS is_known
FROM newest
WINDOW in_order AS (PARTITION BY user ORDER BY ordinal)
ORDER BY began, user, ordinal
