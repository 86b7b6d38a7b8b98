-- The Last.fm 1K users: userid-timestamp-artid-artname-traid-traname.tsv, without names and quotes; many tracks have no id.
-- first line: user_\d{6}\t.*
SELECT
    column0 AS listener,
    coalesce(nullif(column4, ''), column3 || ' - ' || column5) AS track,
    column1 AS played_at,
    column5 AS title,
    column3 AS artist
FROM read_csv({path}, delim = '\t', quote = '', header = false, all_varchar = true)
