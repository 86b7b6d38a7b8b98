-- One row per file of a query that has rows: how many.
-- FROM checked(source VARCHAR)
-- Columns:
--   source  VARCHAR, digest of the file
--   rows    BIGINT
SELECT source, count(*) AS rows
FROM checked
GROUP BY source
