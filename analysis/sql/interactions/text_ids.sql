-- One row per text id of the good rows, with the number that stands for it: the lower half of its MD5, without the last
-- bit, so that the number follows from the text alone, whatever was ingested when. Two texts with one number are refused.
-- $users  BOOLEAN, the ids of users; else those of items
-- FROM verified(source VARCHAR, row BIGINT, user VARCHAR, track VARCHAR, weight DOUBLE, timestamp BIGINT, session VARCHAR, reason VARCHAR, text VARCHAR)
-- Columns:
--   id        BIGINT, 0..2^63-1
--   original  VARCHAR
SELECT CAST(md5_number_lower(original) >> 1 AS BIGINT) AS id, original
FROM (
    SELECT DISTINCT CASE WHEN $users THEN user ELSE track END AS original
    FROM verified
    WHERE reason IS NULL
)
ORDER BY id, original
