-- One row per row of `checked`, with the numbers of its ids, and whether they are of the kind that the store has.
-- A whole number stands for itself. A text has the lower half of its MD5, without the last bit, so that the number follows from the
-- text alone, whatever was ingested when.
-- $text_users  BOOLEAN, the store's users are text; else whole numbers from 0 to 2^63-1
-- $text_items  BOOLEAN, the store's items are text; else whole numbers from 0 to 2^63-1
-- FROM checked(source VARCHAR, row BIGINT, user VARCHAR, track VARCHAR, user_kind VARCHAR, track_kind VARCHAR, amount DOUBLE, share DOUBLE, timestamp BIGINT, session VARCHAR, position DOUBLE, organic BOOLEAN, disliked BOOLEAN, propensity DOUBLE, title VARCHAR, artist VARCHAR, reason VARCHAR, text VARCHAR)
-- Columns:
--   source, row, user, track, user_kind, track_kind, amount, share, timestamp, session, position, organic, disliked, propensity, title, artist  as in checked
--   reason, text  VARCHAR, why the row is refused, NULL if it is not, and the row as text
--   user_number, track_number  BIGINT, 0..2^63-1; of no meaning in a refused row
WITH numbered AS (
    SELECT
        *,
        CASE
            WHEN $text_users AND user_kind <> 'number' THEN CAST(md5_number(user) >> 65 AS BIGINT)
            WHEN NOT $text_users AND user_kind IN ('number', 'digits') THEN TRY_CAST(user AS BIGINT)
        END AS user_number,
        CASE
            WHEN $text_items AND track_kind <> 'number' THEN CAST(md5_number(track) >> 65 AS BIGINT)
            WHEN NOT $text_items AND track_kind IN ('number', 'digits') THEN TRY_CAST(track AS BIGINT)
        END AS track_number
    FROM checked
)
SELECT * REPLACE (
    coalesce(reason, CASE
        WHEN coalesce(user_number, -1) < 0 THEN 'the listeners of this store are ' || if($text_users, 'text', 'whole numbers, 0 to 2^63-1')
        WHEN coalesce(track_number, -1) < 0 THEN 'the tracks of this store are ' || if($text_items, 'text', 'whole numbers, 0 to 2^63-1')
    END) AS reason,
    coalesce(text, concat_ws(', ', user, track)) AS text
)
FROM numbered
