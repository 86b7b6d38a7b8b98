-- One row per line of a file of JSON lines, in the order of the file.
-- FROM text_lines(line VARCHAR)
-- Columns:
--   line      VARCHAR; further columns of text_lines follow it
--   document  JSON; NULL where the line is none
SELECT *, CASE WHEN json_valid(line) THEN CAST(line AS JSON) END AS document
FROM text_lines
