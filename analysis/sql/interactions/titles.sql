-- One row per track of the good rows, by number: its title and artist, of several the first by name.
-- FROM numbered(track BIGINT, title VARCHAR, artist VARCHAR)
-- Columns:
--   id             BIGINT, the number that stands for the track where there is one, or else itself
--   title, artist  VARCHAR; NULL where no row says
SELECT track AS id, min(title) AS title, min(artist) AS artist
FROM numbered
GROUP BY track
ORDER BY id
