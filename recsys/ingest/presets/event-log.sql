-- An event log, for a replay; `ingest` reads its requests and experiments too.
-- columns: message, user, track, time, timestamp
SELECT "user" AS listener, track, "time" AS share, epoch_ms("timestamp") AS played_at
FROM read_json({path}, format = 'newline_delimited', ignore_errors = true, columns = {
    message: 'VARCHAR', "user": 'JSON', track: 'JSON', "time": 'DOUBLE', "timestamp": 'BIGINT'
})
WHERE message IN ('next', 'last')
