-- Spotify's extended streaming history, a folder for each listener; podcasts have no track.
SELECT
    parse_path(filename)[-2] AS listener,
    spotify_track_uri AS track,
    ms_played / 1000 AS seconds,
    ts AS played_at,
    master_metadata_track_name AS title,
    master_metadata_album_artist_name AS artist
FROM read_json({path}, columns = {
    ts: 'VARCHAR', ms_played: 'DOUBLE', spotify_track_uri: 'VARCHAR',
    master_metadata_track_name: 'VARCHAR', master_metadata_album_artist_name: 'VARCHAR'
})
WHERE spotify_track_uri IS NOT NULL AND ms_played >= 30000  -- shorter plays are left out
