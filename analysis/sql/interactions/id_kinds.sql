-- One row per combination of the kinds of ids in the good rows of some tables.
-- FROM checked(user_kind VARCHAR, track_kind VARCHAR, reason VARCHAR)
-- Columns:
--   user_kind, track_kind  VARCHAR, 'whole number' or 'text' by the file's types, 'digits' or 'characters' where it has none
--   lines                  BIGINT, how many rows
SELECT user_kind, track_kind, count(*) AS lines
FROM checked
WHERE reason IS NULL
GROUP BY ALL
