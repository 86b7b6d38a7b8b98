-- One row per event of a session, by listener, session and position in it: of those that are held out, or of the others.
-- $heldout  BOOLEAN, which of the two
-- FROM session_events(user BIGINT, track BIGINT, time DOUBLE, recommendation BIGINT, propensity DOUBLE, session VARCHAR, position BIGINT)
-- FROM heldout_sessions(user BIGINT, session VARCHAR)
-- Columns:
--   user
--   position    BIGINT, 1 for the organic track, which opens the session
--   track       the track heard
--   time        DOUBLE, share of it that was heard
--   followed    BOOLEAN, it is the track that had been recommended after the one before; false for the organic track
--   propensity  DOUBLE, probability with which that recommendation had been drawn; NULL where it is not known
SELECT
    user, position, track, time,
    coalesce(track = lag(recommendation) OVER in_session, false) AS followed,
    lag(propensity) OVER in_session AS propensity
FROM session_events
WHERE ((user, session) IN (SELECT (user, session) FROM heldout_sessions)) = $heldout
WINDOW in_session AS (PARTITION BY user, session ORDER BY position)
ORDER BY user, session, position
