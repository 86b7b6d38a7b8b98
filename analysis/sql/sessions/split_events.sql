-- One row per event, with the split that its session is in.
-- FROM named_events(user BIGINT, timestamp BIGINT, message VARCHAR, track BIGINT, time DOUBLE, session VARCHAR)
-- FROM splits(user BIGINT, session VARCHAR, number BIGINT, heldout BOOLEAN)
-- Columns:
--   user, timestamp, track, time  as logged
--   ends     BOOLEAN, the message is 'last'
--   number   the session's in sessions
--   heldout  BOOLEAN, the session is held out of training
SELECT user, timestamp, track, time, message = 'last' AS ends, number, heldout
FROM named_events
JOIN splits USING (user, session)
