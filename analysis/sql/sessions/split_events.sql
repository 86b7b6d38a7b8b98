-- One row per event, with the split that its session is in.
-- FROM named_events(user BIGINT, timestamp BIGINT, message VARCHAR, track BIGINT, time DOUBLE, recommendation BIGINT, propensity DOUBLE, session VARCHAR)
-- FROM sessions(user BIGINT, session VARCHAR, number BIGINT)
-- FROM heldout_sessions(number BIGINT)
-- Columns:
--   user, timestamp, track, time, recommendation, propensity  as logged
--   ends     BOOLEAN, the message is 'last'
--   number   the session's in sessions
--   heldout  BOOLEAN, the session is held out of training
WITH splits AS (
    SELECT user, session, number, heldout_sessions.number IS NOT NULL AS heldout
    FROM sessions
    LEFT JOIN heldout_sessions USING (number)
)
SELECT user, timestamp, track, time, recommendation, propensity, message = 'last' AS ends, number, heldout
FROM named_events
JOIN splits USING (user, session)
