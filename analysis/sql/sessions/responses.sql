-- One row per recommended track heard, by listener, then the track that opened the session.
-- A track that was played before in the same session is left out: hearing it again says nothing of the track.
-- FROM split_events(user BIGINT, timestamp BIGINT, track BIGINT, time DOUBLE, ends BOOLEAN, number BIGINT, heldout BOOLEAN)
-- FROM artists(track BIGINT, artist INTEGER)
-- Columns:
--   user
--   organic  the track that opened the session
--   track    the recommended track
--   time     FLOAT, share 0..1 of it that was heard
--   earlier  SMALLINT, tracks of the same artist played before in the session; 0 where the artist is not known
--   place    SMALLINT, rows of the same session before it
--   heldout  BOOLEAN, the session is held out of training
WITH placed AS (
    SELECT
        user, track, time, number, heldout,
        first_value(track) OVER in_session AS organic,
        min(timestamp) OVER in_session AS start_ms,
        row_number() OVER in_session AS position
    FROM split_events
    WINDOW in_session AS (PARTITION BY number ORDER BY timestamp, ends, track)
),
played AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY number, track ORDER BY position) AS hearing,
        CASE
            WHEN artist IS NULL THEN 0
            ELSE row_number() OVER (PARTITION BY number, artist ORDER BY position) - 1
        END AS earlier
    FROM placed
    LEFT JOIN artists USING (track)
)
SELECT
    user,
    organic,
    track,
    CAST(time AS FLOAT) AS time,
    CAST(least(earlier, 32767) AS SMALLINT) AS earlier,
    CAST(least(row_number() OVER (PARTITION BY number ORDER BY position) - 1, 32767) AS SMALLINT) AS place,
    heldout
FROM played
WHERE position > 1 AND hearing = 1
ORDER BY user, organic, start_ms, number, position
