-- One row per good row of a table with shares. A listener's plays are in the order of their timestamps, of equal ones by session,
-- position, file and row, and each is at least a millisecond after the one before.
-- FROM verified(source VARCHAR, row BIGINT, user_number BIGINT, track_number BIGINT, share DOUBLE, timestamp BIGINT, session VARCHAR, position DOUBLE, organic BOOLEAN, disliked BOOLEAN, propensity DOUBLE, reason VARCHAR)
-- Columns:
--   user, track  BIGINT, their numbers
--   timestamp    BIGINT, ms since the epoch, UTC
--   share, session, organic, disliked, propensity, source  as in verified
WITH ordered AS (
    SELECT
        *,
        coalesce(timestamp, 0) AS written_ms,
        row_number() OVER (PARTITION BY user_number ORDER BY written_ms, session, position, source, row) AS ordinal
    FROM verified
    WHERE reason IS NULL
)
SELECT
    user_number AS user,
    track_number AS track,
    ordinal + max(written_ms - ordinal) OVER (PARTITION BY user_number ORDER BY ordinal ROWS UNBOUNDED PRECEDING) AS timestamp,
    share, session, organic, disliked, propensity, source
FROM ordered
