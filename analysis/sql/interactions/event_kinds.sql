-- One row per kind of event that is a play: a word of its name says so, and it nearly always has an amount if plays have one.
-- $plays       VARCHAR[], words such as 'played', in lower case
-- $has_amount  BOOLEAN, the rows of plays say how much was heard
-- FROM first_rows(kind VARCHAR, amount VARCHAR, kept VARCHAR)
-- Columns:
--   kind  VARCHAR, as a text of SQL
SELECT concat('''', replace(kind, '''', ''''''), '''') AS kind
FROM first_rows
WHERE list_has_any(list_transform(regexp_extract_all(kind, '[A-Z]?[a-z]+|[A-Z]+'), lambda word : lower(word)), $plays)
GROUP BY first_rows.kind
HAVING NOT $has_amount OR count(nullif(amount, '')) >= 0.95 * count(*)
ORDER BY kind
