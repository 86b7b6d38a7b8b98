-- One row per event of a held-out session, by listener, session and position in it.
-- FROM split_events(user BIGINT, timestamp BIGINT, track BIGINT, time DOUBLE, recommendation BIGINT, propensity DOUBLE, ends BOOLEAN, number BIGINT, heldout BOOLEAN)
-- Columns:
--   user
--   position    BIGINT, 1 for the organic track, which opens the session
--   track       the track heard
--   time        DOUBLE, share of it that was heard
--   followed    BOOLEAN, it is the track that had been recommended after the one before; false for the organic track
--   propensity  DOUBLE, probability with which that recommendation had been drawn; NULL where it is not known
SELECT
    user, row_number() OVER in_session AS position, track, time,
    coalesce(track = lag(recommendation) OVER in_session, false) AS followed,
    lag(propensity) OVER in_session AS propensity
FROM split_events
WHERE heldout
WINDOW in_session AS (PARTITION BY number ORDER BY timestamp, ends, track)
ORDER BY number, position
