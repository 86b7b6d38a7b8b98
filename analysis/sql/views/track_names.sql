-- One row per track with a text id or a title: the number that stands for it in files.
-- FROM track_ids(id BIGINT, original VARCHAR)
-- FROM titles(id BIGINT, title VARCHAR, artist VARCHAR)
-- Columns:
--   id             BIGINT
--   track          VARCHAR, the id as it was ingested; NULL for a whole number
--   title, artist  VARCHAR, NULL if unknown
SELECT id, min(original) AS track, min(title) AS title, min(artist) AS artist
FROM (FROM track_ids UNION ALL BY NAME FROM titles)
WHERE id IS NOT NULL
GROUP BY id
