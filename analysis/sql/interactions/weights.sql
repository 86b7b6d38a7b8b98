-- One row per listener and track with a weight, by listener, then track.
-- Weights are added exactly to 1e-9, so that the sum depends on neither the order nor the number of the files.
-- $min_time  DOUBLE, interactions that weigh less are left out
-- FROM split_events(user BIGINT, track BIGINT, time DOUBLE, heldout BOOLEAN)
-- Columns:
--   user, track
--   training     FLOAT, weight in training (0 where the track is held out alone)
--   all          FLOAT, weight in both splits
SELECT
    user, track,
    CAST(coalesce(sum(CAST(time AS DECIMAL(38, 9))) FILTER (NOT heldout), 0) AS FLOAT) AS training,
    CAST(sum(CAST(time AS DECIMAL(38, 9))) AS FLOAT) AS "all"
FROM split_events
WHERE time > 0 AND time >= $min_time
GROUP BY ALL
ORDER BY user, track
