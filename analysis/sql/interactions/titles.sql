-- One row per track of the good rows, by number: its title and artist, of several the first by name.
-- FROM verified(track_number BIGINT, title VARCHAR, artist VARCHAR, reason VARCHAR)
-- Columns:
--   id             BIGINT, the track's number
--   title, artist  VARCHAR; NULL where no row says
SELECT track_number AS id, min(title) AS title, min(artist) AS artist
FROM verified
WHERE reason IS NULL
GROUP BY track_number
ORDER BY id
