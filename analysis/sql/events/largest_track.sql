-- One row: the largest track id that events name.
-- FROM events(track BIGINT, recommendation BIGINT)
-- Columns:
--   track  BIGINT; NULL without events
SELECT greatest(max(track), max(recommendation)) AS track
FROM events
