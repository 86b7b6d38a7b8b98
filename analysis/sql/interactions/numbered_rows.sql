-- One row per good row of a table of plays or interactions, with the numbers of its user and track.
-- FROM verified(source VARCHAR, row BIGINT, user VARCHAR, track VARCHAR, weight DOUBLE, timestamp BIGINT, session VARCHAR, position DOUBLE, organic BOOLEAN, propensity DOUBLE, title VARCHAR, artist VARCHAR, reason VARCHAR, text VARCHAR)
-- FROM user_ids(id BIGINT, original VARCHAR)
-- FROM track_ids(id BIGINT, original VARCHAR)
-- Columns:
--   source, row
--   user, track  BIGINT, the number that stands for the id where there is one, or else itself
--   weight, timestamp, session, position, organic, propensity, title, artist, reason, text
SELECT verified.* REPLACE (
    coalesce(user_ids.id, TRY_CAST(verified.user AS BIGINT)) AS user,
    coalesce(track_ids.id, TRY_CAST(verified.track AS BIGINT)) AS track
)
FROM verified
LEFT JOIN user_ids ON user_ids.original = verified.user
LEFT JOIN track_ids ON track_ids.original = verified.track
WHERE reason IS NULL
