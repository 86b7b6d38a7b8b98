-- Listens of ListenBrainz, of dumps and exports.
-- columns: track_metadata.artist_name, track_metadata.track_name
SELECT
    coalesce(user_name, CAST(user_id AS VARCHAR)) AS listener,
    coalesce(track_metadata.artist_name || ' - ', '') || track_metadata.track_name AS track,
    to_timestamp(coalesce("timestamp", listened_at)) AS played_at,
    track_metadata.track_name AS title,
    track_metadata.artist_name AS artist
FROM read_json({path}, format = 'newline_delimited', ignore_errors = true, columns = {
    user_name: 'VARCHAR', user_id: 'BIGINT', "timestamp": 'BIGINT', listened_at: 'BIGINT',
    track_metadata: 'STRUCT(artist_name VARCHAR, track_name VARCHAR)'
})
