-- One row per play that an export has not learned from, by listener, who began earliest first, each in the order of the plays.
-- Where plays have times, these are later than all that the export has learned from, else later than all of their listener.
-- A copy of a play, at the same moment and in the same session, counts once.
-- Sessions are those of the file, or else end after a silence; where only positions are known, one a listener.
-- $silence_ms   BIGINT, a longer silence ends a session
-- $has_moments  BOOLEAN, timestamps are moments, else positions
-- $has_share    BOOLEAN, the weight is the share of the track that was heard
-- FROM checked(source VARCHAR, row BIGINT, user VARCHAR, track VARCHAR, weight DOUBLE, timestamp BIGINT, session VARCHAR, position DOUBLE, reason VARCHAR)
-- FROM learned(user VARCHAR, latest BIGINT)
-- Columns:
--   listener   BIGINT, from 0
--   user, track  VARCHAR, ids as they stand in the file
--   timestamp  BIGINT, the moment in ms, or the position
--   time       DOUBLE, share 0..1 that was heard, 1 where the file does not say
--   opens      UTINYINT, 1 where it begins a session
--   is_repeat  UTINYINT, 1 where the file has an earlier play of the track by the listener
--   is_unplayed  UTINYINT, 1 where the export has learned from no play of the track in the file
--   is_known   UTINYINT, 1 where the export has learned from plays of the listener
WITH plays AS (
    SELECT DISTINCT ON (user, track, timestamp, session) *
    FROM checked
    WHERE reason IS NULL
    ORDER BY user, track, timestamp, session, position, source, row
),
ordered AS (
    SELECT
        user, track, weight, timestamp, session, latest,
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
    CASE WHEN $has_share THEN weight ELSE 1.0 END AS time,
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
