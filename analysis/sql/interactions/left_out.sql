-- One row: how many rows of a table are left out by the caller's condition.
-- FROM raw_rows(kept VARCHAR)
-- Columns:
--   rows  BIGINT
SELECT count(*) AS rows
FROM raw_rows
WHERE kept IS DISTINCT FROM 'true'
