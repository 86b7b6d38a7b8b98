-- Deezer's listening history, a sheet saved as CSV for each listener.
SELECT
    split_part(parse_filename(filename), '.', 1) AS listener,
    ISRC AS track,
    "Listening Time" AS seconds,
    "Date" AS played_at,
    "Song Title" AS title,
    Artist AS artist
FROM read_csv({path}, types = {
    'ISRC': 'VARCHAR', 'Listening Time': 'DOUBLE', 'Date': 'VARCHAR', 'Song Title': 'VARCHAR', 'Artist': 'VARCHAR'
})
WHERE "Listening Time" >= 30  -- shorter plays are left out
