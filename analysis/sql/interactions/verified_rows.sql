-- One row per row of `checked`, and whether its ids are of the kind that the store has.
-- $text_users  BOOLEAN, the store's users are text; else whole numbers from 0 to 2^63-1
-- $text_items  BOOLEAN, the store's items are text; else whole numbers from 0 to 2^63-1
-- FROM checked(source VARCHAR, row BIGINT, user VARCHAR, track VARCHAR, user_kind VARCHAR, track_kind VARCHAR, weight DOUBLE, timestamp BIGINT, clock VARCHAR, session VARCHAR, position DOUBLE, organic BOOLEAN, propensity DOUBLE, title VARCHAR, artist VARCHAR, reason VARCHAR, text VARCHAR)
-- Columns:
--   source, row, user, track, weight, timestamp, session, position, organic, propensity, title, artist  as in checked
--   reason, text  VARCHAR, why the row is refused, NULL if it is not, and the row as text
SELECT * EXCLUDE (user_kind, track_kind, clock) REPLACE (
    coalesce(reason, CASE
        WHEN $text_users AND user_kind = 'whole number' THEN 'user ' || user || ' is a number; the users of this store are text'
        WHEN NOT $text_users AND (user_kind IN ('text', 'characters') OR TRY_CAST(user AS BIGINT) IS NULL OR starts_with(user, '-'))
        THEN 'user ' || left(user, 40) || '; the users of this store are whole numbers, 0 to 2^63-1'
        WHEN $text_items AND track_kind = 'whole number' THEN 'item ' || track || ' is a number; the items of this store are text'
        WHEN NOT $text_items AND (track_kind IN ('text', 'characters') OR TRY_CAST(track AS BIGINT) IS NULL OR starts_with(track, '-'))
        THEN 'item ' || left(track, 40) || '; the items of this store are whole numbers, 0 to 2^63-1'
    END) AS reason,
    coalesce(text, concat_ws(' ', user, track)) AS text
)
FROM checked
