-- One row per good row of a table of plays, in the columns of events. A listener's plays are in the order of their
-- timestamps, of equal ones by session, position, file and row, and each is at least a millisecond after the one before.
-- Sessions are those of the table, or else end after more than half an hour of silence; an organic play opens one. The
-- track played next in a session counts as the recommendation that the play was followed by, and its propensity too.
-- FROM numbered(source VARCHAR, row BIGINT, user BIGINT, track BIGINT, weight DOUBLE, timestamp BIGINT, session VARCHAR, position DOUBLE, organic BOOLEAN, propensity DOUBLE)
-- Columns:
--   user, track     BIGINT, the number that stands for it where there is one, or else itself
--   timestamp       BIGINT, ms since the epoch, UTC
--   message         VARCHAR, 'last' of a session's last play, else 'next'
--   time            DOUBLE, share 0..1 that was heard
--   recommendation  BIGINT, the session's next track; NULL of its last play
--   session         VARCHAR, the table's name; of a further part of that, or without one, with '@' and its first millisecond
--   propensity      DOUBLE, probability with which the next track was recommended; NULL where it is not known
WITH ordered AS (
    SELECT
        user, track, weight AS time, session, organic, propensity,
        coalesce(timestamp, 0) AS written_ms,
        row_number() OVER (PARTITION BY user ORDER BY coalesce(timestamp, 0), session, position, source, row) AS ordinal
    FROM numbered
),
marked AS (
    SELECT
        *,
        ordinal + max(written_ms - ordinal) OVER (PARTITION BY user ORDER BY ordinal ROWS UNBOUNDED PRECEDING) AS timestamp,
        organic OR lag(ordinal) OVER in_order IS NULL
        OR (session IS NULL AND written_ms - lag(written_ms) OVER in_order > 1800000) AS opens
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
    user, track,
    timestamp,
    CASE WHEN lead(ordinal) OVER in_part IS NULL THEN 'last' ELSE 'next' END AS message,
    time,
    lead(track) OVER in_part AS recommendation,
    CASE WHEN session IS NOT NULL AND part = 1 THEN session
        ELSE concat(session, '@', first_value(timestamp) OVER in_part) END AS session,
    lead(propensity) OVER in_part AS propensity
FROM parts
WINDOW in_part AS (PARTITION BY user, session, part ORDER BY ordinal)
