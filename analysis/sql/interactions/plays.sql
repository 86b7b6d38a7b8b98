-- One row per good row of a table with shares. A listener's plays are in the order of their timestamps, of equal ones by session,
-- position, file and row, and each is at least a millisecond after the one before.
-- A session has the table's name, or else ends after a silence; an organic play opens one.
-- $silence_ms  BIGINT, a longer silence ends a session
-- FROM numbered(source VARCHAR, row BIGINT, user BIGINT, track BIGINT, weight DOUBLE, timestamp BIGINT, session VARCHAR, position DOUBLE, organic BOOLEAN, propensity DOUBLE)
-- Columns:
--   user, track          BIGINT, the number that stands for it where there is one, or else itself
--   timestamp            BIGINT, ms since the epoch, UTC
--   time                 DOUBLE, share 0..1 that was heard
--   session              VARCHAR, the table's name; of a further part of that, or without one, with '@' and its first millisecond
--   organic, propensity  as in numbered
--   source               VARCHAR, digest of the file
WITH ordered AS (
    SELECT
        user, track, weight AS time, session, organic, propensity, source,
        coalesce(timestamp, 0) AS written_ms,
        row_number() OVER (PARTITION BY user ORDER BY coalesce(timestamp, 0), session, position, source, row) AS ordinal
    FROM numbered
),
marked AS (
    SELECT
        *,
        ordinal + max(written_ms - ordinal) OVER (PARTITION BY user ORDER BY ordinal ROWS UNBOUNDED PRECEDING) AS timestamp,
        organic OR lag(ordinal) OVER in_order IS NULL
        OR (session IS NULL AND written_ms - lag(written_ms) OVER in_order > $silence_ms) AS opens
    FROM ordered
    WINDOW in_order AS (PARTITION BY user, session ORDER BY ordinal)
),
parts AS (
    SELECT
        *,
        sum(CAST(opens AS INTEGER)) OVER (PARTITION BY user, session ORDER BY ordinal ROWS UNBOUNDED PRECEDING) AS part
    FROM marked
)
SELECT
    user, track, timestamp, time,
    CASE WHEN session IS NOT NULL AND part = 1 THEN session
        ELSE concat(session, '@', first_value(timestamp) OVER in_part) END AS session,
    organic, propensity, source
FROM parts
WINDOW in_part AS (PARTITION BY user, session, part ORDER BY ordinal)
