-- One row per track heard, by track.
-- FROM split_events(user BIGINT, track BIGINT, time DOUBLE, session VARCHAR, organic BOOLEAN, heldout BOOLEAN)
-- Columns:
--   track
SELECT DISTINCT track
FROM split_events
ORDER BY track
