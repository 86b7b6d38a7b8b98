-- One row per listener and track of a published list.
-- FROM list_lines(user VARCHAR, tracks VARCHAR[], filename VARCHAR)
-- FROM list_scores(filename VARCHAR, user VARCHAR, scores FLOAT[])
-- FROM catalogue(track VARCHAR, title VARCHAR, artist VARCHAR)
-- Columns:
--   version        VARCHAR, the published version, a model's name
--   pool           VARCHAR, recommendations (of all tracks), repeat (tracks played before) or new
--   listener       an id as it was ingested
--   rank           BIGINT, from 1, the best
--   track          the recommended track, an id as it was ingested
--   score          FLOAT, by which the tracks of a list are ranked; NULL in the pools repeat and new
--   title, artist  VARCHAR, NULL if unknown
SELECT version, pool, listener, rank, track, score, title, artist
FROM (
    SELECT
        parse_path(filename)[-2] AS version, parse_filename(filename, true) AS pool,
        list_lines.user AS listener, generate_subscripts(tracks, 1) AS rank, unnest(tracks) AS track,
        if(isfinite(scores[rank]), scores[rank], NULL) AS score
    FROM list_lines
    LEFT JOIN list_scores USING (filename, user)
)
LEFT JOIN (FROM catalogue SELECT track, any_value(title) AS title, any_value(artist) AS artist GROUP BY track) USING (track)
