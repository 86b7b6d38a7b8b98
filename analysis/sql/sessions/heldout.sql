-- One row per listener and track heard in a held-out session, by listener, then track.
-- $is_weighted  BOOLEAN, the events are interactions with weights
-- $gap          BIGINT, the first held-out plays of a listener that are left out
-- FROM split_events(user BIGINT, timestamp BIGINT, track BIGINT, time DOUBLE, ends BOOLEAN, number BIGINT, heldout BOOLEAN)
-- Columns:
--   user, track
--   time         DOUBLE, share 0..1; the longest single hearing (a track heard twice in a session counts 0 the second
--                time); of weights their sum, exact to 1e-9
WITH placed AS (
    SELECT user, track, time, row_number() OVER (PARTITION BY user ORDER BY timestamp, number, ends, track) AS place
    FROM split_events
    WHERE heldout AND time > 0
)
SELECT
    user, track,
    CAST(CASE WHEN $is_weighted THEN sum(CAST(time AS DECIMAL(38, 9))) ELSE max(time) END AS DOUBLE) AS time
FROM placed
WHERE place > $gap
GROUP BY ALL
ORDER BY user, track
