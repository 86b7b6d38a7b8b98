-- One row per text id of the good rows, with the number that stands for it, by number.
-- $users  BOOLEAN, the ids of users; else those of items
-- FROM verified(user VARCHAR, track VARCHAR, user_number BIGINT, track_number BIGINT, reason VARCHAR)
-- Columns:
--   id        BIGINT, 0..2^63-1
--   original  VARCHAR
SELECT DISTINCT
    CASE WHEN $users THEN user_number ELSE track_number END AS id,
    CASE WHEN $users THEN user ELSE track END AS original
FROM verified
WHERE reason IS NULL
ORDER BY id, original
