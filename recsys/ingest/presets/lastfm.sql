-- A history of Last.fm, a file for each listener, as exported without names: artist, album, track, date.
-- first line: .*,"?\d\d \w{3} \d{4},? \d\d:\d\d"?
SELECT
    split_part(parse_filename(filename), '.', 1) AS listener,
    coalesce(column0 || ' - ', '') || column2 AS track,
    try_strptime(column3, ['%d %b %Y %H:%M', '%d %b %Y, %H:%M']) AS played_at,
    column2 AS title,
    column0 AS artist
FROM read_csv({path}, header = false, all_varchar = true)
