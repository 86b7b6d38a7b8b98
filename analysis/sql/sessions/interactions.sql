-- One row per listener and track, with the sum of the amounts of its plays, by listener, then track.
-- Amounts are added exactly to 1e-9, so that the sum depends on neither the order nor the number of the files.
-- $min_time   DOUBLE, plays of a smaller amount are left out
-- FROM split_plays(user BIGINT, track BIGINT, time DOUBLE, heldout BOOLEAN)
-- Columns:
--   user, track
--   training, all  FLOAT, the amount in the training sessions, and in all
SELECT
    user, track,
    CAST(coalesce(sum(CAST(time AS DECIMAL(38, 9))) FILTER (NOT heldout), 0) AS FLOAT) AS training,
    CAST(sum(CAST(time AS DECIMAL(38, 9))) AS FLOAT) AS "all"
FROM split_plays
WHERE time > 0 AND time >= $min_time
GROUP BY ALL
ORDER BY user, track
