-- One row per listener and track with a held-out weight, by listener, then track.
-- Tables:
--   split_events(user BIGINT, track BIGINT, time DOUBLE, session VARCHAR, organic BOOLEAN, heldout BOOLEAN)
-- Columns:
--   user, track
--   time         DOUBLE, the sum of its weights, exact to 1e-9
SELECT user, track, CAST(sum(CAST(time AS DECIMAL(38, 9))) AS DOUBLE) AS time
FROM split_events
WHERE heldout AND time > 0
GROUP BY user, track
ORDER BY user, track
