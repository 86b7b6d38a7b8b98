-- Spotify's history of a year, a folder for each listener.
SELECT
    parse_path(filename)[-2] AS listener,
    coalesce(artistName || ' - ', '') || trackName AS track,
    msPlayed / 1000 AS seconds,
    endTime AS played_at,
    trackName AS title,
    artistName AS artist
FROM read_json({path}, columns = {
    endTime: 'VARCHAR', artistName: 'VARCHAR', trackName: 'VARCHAR', msPlayed: 'DOUBLE'
})
WHERE msPlayed >= 30000  -- shorter plays are left out
