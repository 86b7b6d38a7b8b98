-- One row per listener and track with a weight, by listener, then track.
-- Weights are added exactly to 1e-9, so that the sum depends on neither the order nor the number of the files.
-- $min_time  DOUBLE, interactions that weigh less are left out
-- FROM split_events(user BIGINT, track BIGINT, time DOUBLE, heldout BOOLEAN)
-- Columns:
--   user, track
--   train        FLOAT, weight on the training side (0 where the track is on the other side alone)
--   total        FLOAT, weight on both sides
SELECT
    user, track,
    CAST(coalesce(sum(CAST(time AS DECIMAL(38, 9))) FILTER (WHERE NOT heldout), 0) AS FLOAT) AS train,
    CAST(sum(CAST(time AS DECIMAL(38, 9))) AS FLOAT) AS total
FROM split_events
WHERE time > 0 AND time >= $min_time
GROUP BY user, track
ORDER BY user, track
