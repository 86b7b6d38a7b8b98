-- One row per listener and track heard in a held-out session, by listener, then track.
-- Parameters:
--   $organic  BOOLEAN, count organic tracks too
-- Tables:
--   split_events(user BIGINT, track BIGINT, time DOUBLE, session VARCHAR, organic BOOLEAN, heldout BOOLEAN)
-- Columns:
--   user, track
--   time         DOUBLE, share 0..1; the longest single hearing (a track heard twice in a session counts 0 the second time)
SELECT user, track, CAST(max(time) AS DOUBLE) AS time
FROM split_events
WHERE heldout AND time > 0 AND ($organic OR NOT organic)
GROUP BY user, track
ORDER BY user, track
