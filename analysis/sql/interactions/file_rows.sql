-- One row per file of a table that has rows: how many of the rows read together come before its own, and what became of these.
-- FROM raw_rows(source VARCHAR, kept VARCHAR)
-- FROM checked(source VARCHAR)
-- Columns:
--   source    VARCHAR, digest of the file
--   before    BIGINT, rows of other files
--   rows      BIGINT, those in checked
--   left_out  BIGINT, those left out by the caller's condition
WITH numbered AS (SELECT source, kept, row_number() OVER () AS row FROM raw_rows),
read AS (
    SELECT source, min(row) - 1 AS before, count(*) FILTER (kept IS DISTINCT FROM 'true') AS left_out
    FROM numbered
    GROUP BY source
),
written AS (SELECT source, count(*) AS rows FROM checked GROUP BY source)
SELECT source, before, coalesce(rows, 0) AS rows, left_out
FROM read
LEFT JOIN written USING (source)
