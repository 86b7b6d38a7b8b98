-- One row per good row, the first $rows of a table of plays or interactions, as an ingest reads them.
-- $rows  BIGINT, how many
-- FROM checked(row BIGINT, user VARCHAR, track VARCHAR, amount DOUBLE, timestamp BIGINT, session VARCHAR, title VARCHAR, artist VARCHAR, reason VARCHAR)
-- Columns:
--   user, item, amount  VARCHAR; the weight, or the share that was heard
--   time                VARCHAR, UTC, or the position where that orders the plays; NULL without
--   session             VARCHAR, NULL without
SELECT
    user,
    track AS item,
    format('{:.4g}', amount) AS amount,
    CASE WHEN timestamp < 100000000 THEN CAST(timestamp AS VARCHAR)
        ELSE strftime(epoch_ms(timestamp), '%Y-%m-%d %H:%M:%S') END AS time,
    session
FROM checked
WHERE reason IS NULL
ORDER BY row
LIMIT $rows
