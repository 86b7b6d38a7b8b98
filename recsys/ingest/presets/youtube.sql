-- YouTube's watch history of a takeout, a folder for each listener; films and what was removed are left out.
-- columns: header, subtitles, titleUrl
SELECT
    parse_path(filename)[-2] AS listener,
    titleUrl AS track,
    "time" AS played_at,
    regexp_replace(title, '^Watched ', '') AS title,
    regexp_replace(subtitles[1].name, ' - Topic$', '') AS artist
FROM read_json({path}, maximum_object_size = 134217728)
WHERE header = 'YouTube Music' AND subtitles IS NOT NULL
