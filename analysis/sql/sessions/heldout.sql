-- One row per listener and track heard in a held-out session, by listener, then track.
-- $gap  BIGINT, the first held-out plays of a listener that are left out
-- FROM split_plays(user BIGINT, track BIGINT, timestamp BIGINT, amount DOUBLE, share DOUBLE, skipped BOOLEAN, ends BOOLEAN, number BIGINT, heldout BOOLEAN)
-- Columns:
--   user, track
--   time         DOUBLE, the largest share of one play, 0..1 (a track heard twice in a session counts 0 the second time); without
--                shares the sum of the amounts, exact to 1e-9; 0 if it was skipped
--   skipped      UTINYINT, 1 if each of its plays is a skip, else 0
WITH placed AS (
    SELECT user, track, amount, share, skipped, row_number() OVER (PARTITION BY user ORDER BY timestamp, number, ends, track) AS place
    FROM split_plays
    WHERE heldout AND (skipped OR amount > 0)
)
SELECT
    user, track,
    if(bool_and(skipped), 0, coalesce(max(share), CAST(sum(CAST(amount AS DECIMAL(38, 9))) AS DOUBLE))) AS time,
    CAST(bool_and(skipped) AS UTINYINT) AS skipped
FROM placed
WHERE place > $gap
GROUP BY ALL
ORDER BY user, track
