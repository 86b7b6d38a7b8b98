-- One row per track that was played or has a title.
-- FROM stored(user BIGINT, track BIGINT)
-- FROM track_names(id BIGINT, track VARCHAR, title VARCHAR, artist VARCHAR)
-- Columns:
--   track          an id as it was ingested
--   title, artist  VARCHAR, NULL if unknown
--   plays          BIGINT, number of plays
--   listeners      BIGINT, number of distinct listeners
SELECT
    coalesce(track, cast_to_type(id, track)) AS track, title, artist,
    coalesce(plays, 0) AS plays, coalesce(listeners, 0) AS listeners
FROM (
    SELECT track AS id, count(*) AS plays, count(DISTINCT stored.user) AS listeners FROM stored GROUP BY track
)
FULL JOIN track_names USING (id)
