-- One row per play, with the split that its session is in.
-- FROM named_plays(user BIGINT, timestamp BIGINT, message VARCHAR, track BIGINT, time DOUBLE, session VARCHAR)
-- FROM splits(user BIGINT, session VARCHAR, number BIGINT, heldout BOOLEAN)
-- Columns:
--   user, timestamp, track, time  as stored
--   ends     BOOLEAN, the message is 'last'
--   number   the session's in sessions
--   heldout  BOOLEAN, the session is held out of training
SELECT user, timestamp, track, time, coalesce(message = 'last', false) AS ends, number, heldout
FROM named_plays
JOIN splits USING (user, session)
