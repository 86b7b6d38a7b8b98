-- One row per kind of event.
-- $plays       VARCHAR[], words such as 'played', in lower case
-- $has_amount  BOOLEAN, the rows of plays say how much was heard
-- FROM first_rows(kind VARCHAR, amount VARCHAR)
-- Columns:
--   kind     VARCHAR
--   is_play  BOOLEAN, a word of its name says so, and it nearly always has an amount if plays have one
SELECT
    kind,
    list_has_any(list_transform(regexp_extract_all(kind, '[A-Z]?[a-z]+|[A-Z]+'), lambda word : lower(word)), $plays)
    AND (NOT $has_amount OR count(nullif(amount, '')) >= 0.95 * count(*)) AS is_play
FROM first_rows
WHERE kind <> ''
GROUP BY kind
ORDER BY kind
