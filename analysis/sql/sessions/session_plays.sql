-- One row per play, by listener, session after session, each in the order of its plays.
-- $min_time  DOUBLE, plays of a smaller amount are left out, but for skips
-- FROM named_plays(user BIGINT, track BIGINT, timestamp BIGINT, amount DOUBLE, skipped BOOLEAN, ends BOOLEAN, session VARCHAR)
-- Columns:
--   user, track, timestamp
--   skipped   UTINYINT, 1 of a skip, else 0
--   start_ms  BIGINT, the session's first millisecond since the epoch, UTC
--   opens     UTINYINT, 1 of a session's first play, else 0
SELECT
    user, track, timestamp, CAST(skipped AS UTINYINT) AS skipped,
    min(timestamp) OVER (PARTITION BY user, session) AS start_ms,
    CAST(row_number() OVER (PARTITION BY user, session ORDER BY timestamp, ends, track) = 1 AS UTINYINT) AS opens
FROM named_plays
WHERE skipped OR (amount > 0 AND amount >= $min_time)
ORDER BY user, start_ms, session, timestamp, ends, track
