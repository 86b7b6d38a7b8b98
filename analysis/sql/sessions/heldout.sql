-- One row per listener and track heard in a held-out session, by listener, then track.
-- $has_share  BOOLEAN, amounts are shares of the track; else weights, which are added up
-- $gap        BIGINT, the first held-out plays of a listener that are left out
-- FROM split_plays(user BIGINT, timestamp BIGINT, track BIGINT, time DOUBLE, ends BOOLEAN, number BIGINT, heldout BOOLEAN)
-- Columns:
--   user, track
--   time         DOUBLE, the largest share of one play, 0..1 (a track heard twice in a session counts 0 the second time); the sum of
--                weights, exact to 1e-9
WITH placed AS (
    SELECT user, track, time, row_number() OVER (PARTITION BY user ORDER BY timestamp, number, ends, track) AS place
    FROM split_plays
    WHERE heldout AND time > 0
)
SELECT
    user, track,
    CAST(CASE WHEN $has_share THEN max(time) ELSE sum(CAST(time AS DECIMAL(38, 9))) END AS DOUBLE) AS time
FROM placed
WHERE place > $gap
GROUP BY ALL
ORDER BY user, track
