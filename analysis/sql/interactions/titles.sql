-- One row per track of the good rows, by number: its title and artist, of several the first by name.
-- FROM verified(track VARCHAR, title VARCHAR, artist VARCHAR, reason VARCHAR)
-- FROM track_ids(id BIGINT, original VARCHAR)
-- Columns:
--   id             BIGINT, the number that stands for the track where there is one, or else itself
--   title, artist  VARCHAR; NULL where no row says
SELECT coalesce(any_value(track_ids.id), TRY_CAST(verified.track AS BIGINT)) AS id, min(title) AS title, min(artist) AS artist
FROM verified
LEFT JOIN track_ids ON track_ids.original = verified.track
WHERE reason IS NULL
GROUP BY verified.track
ORDER BY id
