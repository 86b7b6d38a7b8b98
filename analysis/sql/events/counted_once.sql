-- One row per event, without those that were sent again: of the events of a listener with the same message and number
-- of the request the first by time stays, and so do all events without such a number.
-- $events_file  VARCHAR, Parquet file, or a pattern of several
-- FROM events(user BIGINT, message VARCHAR, timestamp BIGINT, request BIGINT)
-- Columns:
--   user, message, timestamp, request  as in events, with what else they have
SELECT *
FROM read_parquet($events_file)
WHERE request IS NULL
UNION ALL
SELECT *
FROM read_parquet($events_file)
WHERE request IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY user, message, request ORDER BY timestamp) = 1
