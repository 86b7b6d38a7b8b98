-- One row per play, of each listener in the order of the plays.
-- $min_time  DOUBLE, plays of a smaller amount are left out, but for skips
-- FROM split_plays(user BIGINT, track BIGINT, timestamp BIGINT, amount DOUBLE, skipped BOOLEAN, ends BOOLEAN, number BIGINT, heldout BOOLEAN)
-- Columns:
--   user, track  as in split_plays
--   heldout      UTINYINT, 1 where the session is held out, else 0
--   skipped      UTINYINT, 1 of a skip, else 0
SELECT user, track, CAST(heldout AS UTINYINT) AS heldout, CAST(skipped AS UTINYINT) AS skipped
FROM split_plays
WHERE skipped OR (amount > 0 AND amount >= $min_time)
ORDER BY user, timestamp, number, ends, track
