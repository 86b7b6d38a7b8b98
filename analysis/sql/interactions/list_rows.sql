-- One row per item of a file whose lines are lists: of each listener a line, their id and the ids of their items.
-- FROM text_lines(line VARCHAR)
-- Columns:
--   user, item  VARCHAR
WITH split AS (SELECT regexp_split_to_array(trim(line), '[ \t,]+') AS ids FROM text_lines)
SELECT ids[1] AS user, unnest(ids[2:]) AS item
FROM split
