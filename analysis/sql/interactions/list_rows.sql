-- One row per item of a file whose lines are lists: of each listener a line, the ids of its items after a first number.
-- $has_users  BOOLEAN, the first number is the listener's id; else how many items follow, and listeners are numbered from 0
-- FROM text_lines(line VARCHAR)
-- Columns:
--   user, item  VARCHAR
WITH numbered AS (
    SELECT row_number() OVER () - 1 AS number, regexp_split_to_array(trim(line), '[ \t,]+') AS ids
    FROM text_lines
)
SELECT CASE WHEN $has_users THEN ids[1] ELSE CAST(number AS VARCHAR) END AS user, unnest(ids[2:]) AS item
FROM numbered
