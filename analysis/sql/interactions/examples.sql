-- One row per good row, the first $rows of a query of plays, as an ingest stores them.
-- $rows  BIGINT, how many
-- FROM checked(row BIGINT, user VARCHAR, track VARCHAR, amount DOUBLE, timestamp BIGINT, session VARCHAR, title VARCHAR, artist VARCHAR, reason VARCHAR)
-- Columns:
--   listener, track, amount  VARCHAR; the seconds, the weight, or the share that was heard
--   played_at                VARCHAR, UTC, or the position where that orders the plays; NULL without
--   session, title, artist   VARCHAR, NULL without
SELECT
    user AS listener,
    track,
    format('{:.4g}', amount) AS amount,
    CASE WHEN timestamp < 100000000 THEN CAST(timestamp AS VARCHAR)
        ELSE strftime(epoch_ms(timestamp), '%Y-%m-%d %H:%M:%S') END AS played_at,
    session, title, artist
FROM checked
WHERE reason IS NULL
ORDER BY row
LIMIT $rows
