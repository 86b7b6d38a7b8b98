-- One row per listener and track heard in a held-out session, by listener, then track.
-- $is_weighted  BOOLEAN, the events are interactions with weights
-- FROM organic_events(user BIGINT, track BIGINT, time DOUBLE, organic BOOLEAN, heldout BOOLEAN)
-- Columns:
--   user, track
--   time         DOUBLE, share 0..1; the longest single hearing (a track heard twice in a session counts 0 the second
--                time); of weights their sum, exact to 1e-9
SELECT
    user, track,
    CAST(CASE WHEN $is_weighted THEN sum(CAST(time AS DECIMAL(38, 9))) ELSE max(time) END AS DOUBLE) AS time
FROM organic_events
WHERE heldout AND time > 0
GROUP BY user, track
ORDER BY user, track
