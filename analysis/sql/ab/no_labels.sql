-- One row per label of a segment: none, as the table is before there are any.
-- Columns:
--   division  VARCHAR, what the segments are by: by_segment.sql
--   of_track  BOOLEAN, keys are of tracks, otherwise of listeners
--   key       BIGINT
--   label     VARCHAR
SELECT '' AS division, false AS of_track, CAST(0 AS BIGINT) AS key, '' AS label
WHERE false
