-- One row per track heard, by track.
-- FROM split_plays(track BIGINT, heldout BOOLEAN)
-- Columns:
--   track
--   training  UTINYINT, 1 where a training session has it, else 0: its first play is held out
SELECT track, CAST(bool_or(NOT heldout) AS UTINYINT) AS training
FROM split_plays
GROUP BY track
ORDER BY track
