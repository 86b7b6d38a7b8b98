-- One row per track heard, by track.
-- FROM split_events(track BIGINT)
-- Columns:
--   track
SELECT DISTINCT track
FROM split_events
ORDER BY track
