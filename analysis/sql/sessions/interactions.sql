-- One row per listener and track, with the sum of the amounts of its plays, by listener, then track.
-- Amounts are added exactly to 1e-9, so that the sum depends on neither the order nor the number of the files.
-- $min_time  DOUBLE, plays of a smaller amount do not count; skips neither
-- FROM split_plays(user BIGINT, track BIGINT, amount DOUBLE, skipped BOOLEAN, heldout BOOLEAN)
-- Columns:
--   user, track
--   training, all  FLOAT, the amount in the training sessions, and in all; 0 if no play counts
--   is_training  UTINYINT, 1 if a training session has a play, whatever its amount
SELECT
    user, track,
    CAST(coalesce(sum(exact) FILTER (NOT heldout), 0) AS FLOAT) AS training,
    CAST(sum(exact) AS FLOAT) AS "all",
    CAST(bool_or(NOT heldout) AS UTINYINT) AS is_training
FROM (SELECT *, CAST(if(amount >= $min_time AND NOT skipped, amount, 0) AS DECIMAL(38, 9)) AS exact FROM split_plays)
GROUP BY user, track
ORDER BY user, track
