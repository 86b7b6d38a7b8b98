-- One row per track heard, by track.
-- FROM split_plays(track BIGINT)
-- Columns:
--   track
SELECT DISTINCT track
FROM split_plays
ORDER BY track
