-- One row: of which kinds the ids of some interactions are.
-- FROM checked(source VARCHAR, row BIGINT, user VARCHAR, track VARCHAR, user_kind VARCHAR, track_kind VARCHAR, weight DOUBLE, timestamp BIGINT, session VARCHAR, reason VARCHAR, text VARCHAR)
-- Columns:
--   users_whole_number, users_text, users_characters  BIGINT, good rows whose user is of that type by the file's own account, or in a file without types no whole number
--   items_whole_number, items_text, items_characters  the same of items
SELECT
    count(*) FILTER (user_kind = 'whole number') AS users_whole_number,
    count(*) FILTER (user_kind = 'text') AS users_text,
    count(*) FILTER (user_kind = 'characters') AS users_characters,
    count(*) FILTER (track_kind = 'whole number') AS items_whole_number,
    count(*) FILTER (track_kind = 'text') AS items_text,
    count(*) FILTER (track_kind = 'characters') AS items_characters
FROM checked
WHERE reason IS NULL
