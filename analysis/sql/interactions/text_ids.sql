-- One row per text id of the good rows, with the number that stands for it, by number.
-- $users  BOOLEAN, the ids of users; else those of items
-- FROM verified(user VARCHAR, track VARCHAR, user_number BIGINT, track_number BIGINT, reason VARCHAR)
-- Columns:
--   id        BIGINT, 0..2^63-1
--   original  VARCHAR
SELECT DISTINCT
    if($users, user_number, track_number) AS id,
    if($users, user, track) AS original
FROM verified
WHERE reason IS NULL AND original IS NOT NULL
ORDER BY id, original
