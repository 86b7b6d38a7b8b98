-- One row per recommended track heard, by listener, then the track that opened the session.
-- A track that was played before in the same session is left out: hearing it again says nothing of the track.
-- Tables:
--   session_events(user BIGINT, track BIGINT, time DOUBLE, session VARCHAR, start_ms BIGINT, position BIGINT)
--   artists(track BIGINT, artist VARCHAR)
-- Columns:
--   user
--   organic  the track that opened the session
--   track    the recommended track
--   time     FLOAT, share 0..1 of it that was heard
--   earlier  SMALLINT, tracks of the same artist played before in the session; 0 where the artist is not known
WITH played AS (
    SELECT
        session_events.user,
        session_events.track,
        session_events.time,
        session_events.start_ms,
        session_events.position,
        session_events.session,
        first_value(session_events.track) OVER in_session AS organic,
        row_number() OVER (
            PARTITION BY session_events.user, session_events.session, session_events.track ORDER BY session_events.position
        ) AS hearing,
        CASE
            WHEN artists.artist IS NULL THEN 0
            ELSE row_number() OVER (
                PARTITION BY session_events.user, session_events.session, artists.artist ORDER BY session_events.position
            ) - 1
        END AS earlier
    FROM session_events
    LEFT JOIN artists ON artists.track = session_events.track
    WINDOW in_session AS (PARTITION BY session_events.user, session_events.session ORDER BY session_events.position)
)
SELECT
    user,
    organic,
    track,
    CAST(time AS FLOAT) AS time,
    CAST(least(earlier, 32767) AS SMALLINT) AS earlier
FROM played
WHERE position > 1 AND hearing = 1
ORDER BY user, organic, start_ms, session, position
