-- One row per listener with a held-out pair.
-- $min_time  DOUBLE, listening time from which a held-out track is relevant, share of the track
-- FROM heldout(user BIGINT, track BIGINT, time DOUBLE)
-- Columns:
--   listener  0, 1, … in the order of users: the listener's index in every array
--   user, relevant  the user's id, and the held-out tracks heard for at least $min_time
SELECT
    row_number() OVER (ORDER BY user) - 1 AS listener,
    user,
    count(*) FILTER (time >= $min_time) AS relevant
FROM heldout
GROUP BY user
ORDER BY listener
