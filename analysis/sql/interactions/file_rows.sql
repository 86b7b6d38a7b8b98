-- One row per file of a table that has rows: how many of the rows read together come before its own, and what became of these.
-- FROM raw_rows(source VARCHAR, kept VARCHAR)
-- FROM checked(source VARCHAR)
-- Columns:
--   source    VARCHAR, digest of the file
--   before    BIGINT, rows of other files
--   rows      BIGINT, those in checked
--   left_out  BIGINT, those left out by the caller's condition
SELECT
    source,
    min(row) - 1 AS before,
    (SELECT count(*) FROM checked WHERE checked.source = numbered.source) AS rows,
    count(*) FILTER (kept IS DISTINCT FROM 'true') AS left_out
FROM (SELECT source, kept, row_number() OVER () AS row FROM raw_rows) AS numbered
GROUP BY source
