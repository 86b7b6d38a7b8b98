-- One row per listener and track, with the sum of the amounts of its plays, by listener, then track.
-- Amounts are added exactly to 1e-9, so that the sum depends on neither the order nor the number of the files.
-- $min_time  DOUBLE, plays of a smaller amount do not count
-- FROM split_plays(user BIGINT, track BIGINT, amount DOUBLE, heldout BOOLEAN)
-- Columns:
--   user, track
--   training, all  FLOAT, the amount in the training sessions, and in all; 0 if no play counts
SELECT
    user, track,
    CAST(coalesce(sum(CAST(amount AS DECIMAL(38, 9))) FILTER (counts AND NOT heldout), 0) AS FLOAT) AS training,
    CAST(coalesce(sum(CAST(amount AS DECIMAL(38, 9))) FILTER (counts), 0) AS FLOAT) AS "all"
FROM (SELECT *, amount > 0 AND amount >= $min_time AS counts FROM split_plays)
GROUP BY user, track
ORDER BY user, track
