-- One row: how many faults a popularity table has; all of them zero means that it can be used.
-- Parameters:
--   $training_listeners  BIGINT, listeners of the training sessions
-- Tables:
--   popularity(track BIGINT, listeners BIGINT)
-- Columns:
--   nulls       rows with an empty column
--   bad_counts  rows whose listeners are negative or more than there were
--   repeated    rows beyond the first of their track
SELECT
    count(*) FILTER (track IS NULL OR listeners IS NULL) AS nulls,
    count(*) FILTER (listeners NOT BETWEEN 0 AND $training_listeners) AS bad_counts,
    count(*) - count(DISTINCT track) AS repeated
FROM popularity
