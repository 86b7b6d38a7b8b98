-- One row per play of the oldest share, by listener in order: of all plays if they have times, else of each listener's.
-- A copy of a play, at the same moment and in the same session, counts once.
-- $share        DOUBLE, share of the plays
-- $has_moments  BOOLEAN, timestamps are moments, else positions
-- FROM checked(source VARCHAR, row BIGINT, user VARCHAR, track VARCHAR, share DOUBLE, timestamp BIGINT, session VARCHAR, position DOUBLE, artist VARCHAR, reason VARCHAR)
-- Columns:
--   listener, track, artist  VARCHAR, as they stand in the file; artist is NULL if the file does not say
--   played_at  TIMESTAMP, UTC; NULL without times
--   position   BIGINT, NULL if there are times
--   session    VARCHAR, NULL if the file does not say
--   share      DOUBLE, share 0..1 that was heard, NULL if the file does not say
--   timestamp  BIGINT, the moment in ms, or the position
WITH plays AS (
    SELECT DISTINCT ON (user, track, timestamp, session) *
    FROM checked
    WHERE reason IS NULL
    ORDER BY user, track, timestamp, session, position, source, row
),
ordered AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY user ORDER BY timestamp, session, position, source, row) AS ordinal,
        count(*) OVER (PARTITION BY user) AS plays,
        quantile_disc(timestamp, $share) OVER () AS moment
    FROM plays
)
SELECT
    user AS listener, track, artist,
    if($has_moments, make_timestamp_ms(timestamp), NULL) AS played_at,
    if($has_moments, NULL, timestamp) AS position,
    session, share, timestamp
FROM ordered
WHERE if($has_moments, timestamp <= moment, ordinal <= $share * plays)
ORDER BY user, ordinal
