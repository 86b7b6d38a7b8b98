-- One row per event, with its place in its session.
-- FROM named_events(user BIGINT, timestamp BIGINT, message VARCHAR, track BIGINT, time DOUBLE, session VARCHAR)
-- Columns:
--   user, track, time, session  as in named_events
--   start_ms  BIGINT, the session's first millisecond since the epoch, UTC
--   position  BIGINT, 1 for the organic track, which opens the session
SELECT user, track, time, session, min(timestamp) OVER in_session AS start_ms, row_number() OVER in_session AS position
FROM named_events
WINDOW in_session AS (PARTITION BY user, session ORDER BY timestamp, message DESC, track)
