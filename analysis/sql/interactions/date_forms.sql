-- One row per column of some rows of a table, all text, of which nearly all values are dates of a form.
-- $form  VARCHAR, as strptime takes it
-- FROM first_rows(user VARCHAR, item VARCHAR)
-- Columns:
--   name  VARCHAR, the column's
SELECT name
FROM (UNPIVOT first_rows ON COLUMNS(*) INTO NAME name VALUE value)
WHERE value <> ''
GROUP BY name
HAVING count(try_strptime(value, $form)) >= 0.95 * count(*)
ORDER BY name
