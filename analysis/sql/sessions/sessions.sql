-- One row per session.
-- FROM named_plays(user BIGINT, timestamp BIGINT, session VARCHAR)
-- Columns:
--   user, session  the listener and the session's name
--   number         BIGINT, from 1, by listener, then name
--   start_ms       BIGINT, the session's first millisecond since the epoch, UTC
--   events         BIGINT, tracks heard in it, the organic one included
SELECT user, session, row_number() OVER (ORDER BY user, session) AS number, min(timestamp) AS start_ms, count(*) AS events
FROM named_plays
GROUP BY user, session
