-- One row per line of some CSV files that has not as many values as there are columns, or is damaged otherwise, by line.
-- FROM reject_errors(scan_id UBIGINT, file_id UBIGINT, line UBIGINT, csv_line VARCHAR, error_message VARCHAR)
-- FROM reject_scans(scan_id UBIGINT, file_id UBIGINT, file_path VARCHAR)
-- Columns:
--   path    VARCHAR, of the file
--   line    BIGINT, its number in the file, from 1
--   reason  VARCHAR
--   text    VARCHAR, the line
SELECT
    file_path AS path,
    CAST(line AS BIGINT) AS line,
    min(error_message) AS reason,
    coalesce(min(csv_line), '') AS text
FROM reject_errors
JOIN reject_scans USING (scan_id, file_id)
GROUP BY path, line
ORDER BY path, line
