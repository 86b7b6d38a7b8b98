-- One row per row of a Parquet file that has objects or lists.
-- FROM parquet_rows(user VARCHAR)
-- Columns:
--   line  VARCHAR, the row as an object of JSON
SELECT CAST(to_json(parquet_rows) AS VARCHAR) AS line
FROM parquet_rows
