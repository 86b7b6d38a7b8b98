-- One row per play, of each listener in the order of the plays.
-- $min_time  DOUBLE, plays of a smaller amount are left out
-- FROM split_plays(user BIGINT, track BIGINT, timestamp BIGINT, amount DOUBLE, ends BOOLEAN, number BIGINT, heldout BOOLEAN)
-- Columns:
--   user, track  as in split_plays
--   heldout      UTINYINT, 1 where the session is held out, else 0
SELECT user, track, CAST(heldout AS UTINYINT) AS heldout
FROM split_plays
WHERE amount > 0 AND amount >= $min_time
ORDER BY user, timestamp, number, ends, track
