-- One row per event, with the side of the split that its session is on.
-- Tables:
--   session_events(user BIGINT, track BIGINT, time DOUBLE, session VARCHAR, start_ms BIGINT, position BIGINT)
--   heldout_sessions(user BIGINT, session VARCHAR)
-- Columns:
--   user, track, time, session  as in session_events
--   organic                     BOOLEAN, the track that opened the session
--   heldout                     BOOLEAN, the session is held out of training
SELECT
    session_events.user,
    session_events.track,
    session_events.time,
    session_events.session,
    session_events.position = 1 AS organic,
    heldout_sessions.session IS NOT NULL AS heldout
FROM session_events
LEFT JOIN heldout_sessions
    ON heldout_sessions.user = session_events.user AND heldout_sessions.session = session_events.session
