-- One row per track of a listener in the lists of another model, of those that a dataset has, by listener and rank. Of equal places
-- the smaller position comes first; a list has at most a thousand.
-- FROM given(user VARCHAR, item VARCHAR, place DOUBLE)
-- FROM known_users(id VARCHAR, position BIGINT)
-- FROM known_tracks(id VARCHAR, position BIGINT)
-- Columns:
--   user, track  BIGINT, positions
--   rank  BIGINT, from 0
WITH listed AS (
    SELECT known_users.position AS user, known_tracks.position AS track, min(place) AS place
    FROM given
    JOIN known_users ON known_users.id = given.user
    JOIN known_tracks ON known_tracks.id = given.item
    WHERE isfinite(place)
    GROUP BY ALL
)
SELECT user, track, row_number() OVER (PARTITION BY user ORDER BY place, track) - 1 AS rank
FROM listed
QUALIFY rank < 1000
ORDER BY user, rank
