-- One row per listener and track with listening time, by listener, then track.
-- Times are added as decimals of six places, so that the sum depends on neither the order nor the number of the files.
-- $min_time   DOUBLE, share 0..1; events heard less are left out
-- FROM split_events(user BIGINT, track BIGINT, time DOUBLE, heldout BOOLEAN)
-- Columns:
--   user, track
--   training, all  FLOAT, listening time in the training sessions, and in all
SELECT
    user, track,
    CAST(coalesce(sum(CAST(time AS DECIMAL(9, 6))) FILTER (NOT heldout), 0) AS FLOAT) AS training,
    CAST(sum(CAST(time AS DECIMAL(9, 6))) AS FLOAT) AS "all"
FROM split_events
WHERE time > 0 AND time >= $min_time
GROUP BY ALL
ORDER BY user, track
