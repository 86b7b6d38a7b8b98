-- One row per event, with the side of the split that its session is on.
-- FROM session_events(user BIGINT, track BIGINT, time DOUBLE, session VARCHAR, start_ms BIGINT, position BIGINT)
-- FROM heldout_sessions(user BIGINT, session VARCHAR)
-- Columns:
--   user, track, time, session  as in session_events
--   organic                     BOOLEAN, the track that opened the session
--   heldout                     BOOLEAN, the session is held out of training
SELECT user, track, time, session, position = 1 AS organic, heldout_sessions.session IS NOT NULL AS heldout
FROM session_events
LEFT JOIN heldout_sessions USING (user, session)
