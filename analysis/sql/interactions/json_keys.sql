-- One row per key of the objects in a file of JSON lines.
-- FROM text_lines(line VARCHAR)
-- Columns:
--   key  VARCHAR
SELECT DISTINCT unnest(json_keys(CASE WHEN json_valid(line) THEN CAST(line AS JSON) END)) AS key
FROM text_lines
