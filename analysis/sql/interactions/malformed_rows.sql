-- One row per line of a CSV file that has not as many values as there are columns, or is damaged otherwise, by line.
-- FROM reject_errors(line UBIGINT, csv_line VARCHAR, error_message VARCHAR)
-- Columns:
--   line    BIGINT, its number in the file, from 1
--   reason  VARCHAR
--   text    VARCHAR, the line
SELECT CAST(line AS BIGINT) AS line, min(error_message) AS reason, coalesce(min(csv_line), '') AS text
FROM reject_errors
GROUP BY line
ORDER BY line
