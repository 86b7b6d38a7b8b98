-- One row per recommended track heard, by listener, then the track that opened the session.
-- A track that was played before in the same session is left out: hearing it again says nothing of the track.
-- FROM session_events(user BIGINT, track BIGINT, time DOUBLE, session VARCHAR, start_ms BIGINT, position BIGINT)
-- FROM artists(track BIGINT, artist VARCHAR)
-- Columns:
--   user
--   organic  the track that opened the session
--   track    the recommended track
--   time     FLOAT, share 0..1 of it that was heard
--   earlier  SMALLINT, tracks of the same artist played before in the session; 0 where the artist is not known
--   before   SMALLINT, recommended tracks played before in the session
WITH played AS (
    SELECT
        *,
        first_value(track) OVER (PARTITION BY user, session ORDER BY position) AS organic,
        row_number() OVER (PARTITION BY user, session, track ORDER BY position) AS hearing,
        CASE
            WHEN artist IS NULL THEN 0
            ELSE row_number() OVER (PARTITION BY user, session, artist ORDER BY position) - 1
        END AS earlier
    FROM session_events
    LEFT JOIN artists USING (track)
)
SELECT
    user,
    organic,
    track,
    CAST(time AS FLOAT) AS time,
    CAST(least(earlier, 32767) AS SMALLINT) AS earlier,
    CAST(least(position - 2, 32767) AS SMALLINT) AS before
FROM played
WHERE position > 1 AND hearing = 1
ORDER BY user, organic, start_ms, session, position
