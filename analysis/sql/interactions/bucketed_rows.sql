-- One row per user, track, timestamp, session and source of the good rows, by bucket, user, timestamp, track, with the
-- weights of repeated rows added, exactly to 1e-9, so that the sum does not depend on their order.
-- The bucket is the hash of `events/bucketed_events.sql`, which is also `bucket_of` in `recsys.store`.
-- Parameters:
--   $buckets  BIGINT, number of buckets, up to 2^31
-- Tables:
--   judged(source VARCHAR, row BIGINT, user VARCHAR, track VARCHAR, weight DOUBLE, timestamp BIGINT, session VARCHAR, reason VARCHAR, text VARCHAR)
--   user_ids(id BIGINT, original VARCHAR)
--   track_ids(id BIGINT, original VARCHAR)
-- Columns:
--   bucket     INTEGER, 0..buckets-1
--   user       BIGINT, the number that stands for it where there is one, or else itself
--   timestamp  BIGINT, ms since the epoch, UTC; NULL without
--   track      BIGINT, as user
--   time       DOUBLE, the weight
--   session    VARCHAR; NULL without
--   source     VARCHAR
--   repeats    BIGINT, rows beyond the first
WITH numbered AS (
    SELECT
        coalesce(user_ids.id, TRY_CAST(judged.user AS BIGINT)) AS user,
        coalesce(track_ids.id, TRY_CAST(judged.track AS BIGINT)) AS track,
        timestamp, session, source, weight
    FROM judged
    LEFT JOIN user_ids ON user_ids.original = judged.user
    LEFT JOIN track_ids ON track_ids.original = judged.track
    WHERE reason IS NULL
),
summed AS (
    SELECT
        user, track, timestamp, session, source,
        CAST(sum(CAST(weight AS DECIMAL(38, 9))) AS DOUBLE) AS time,
        count(*) - 1 AS repeats
    FROM numbered
    GROUP BY user, track, timestamp, session, source
),
once AS (
    SELECT *, ((xor(user, user >> 32) & 4294967295) * 1640531527) & 4294967295 AS mixed
    FROM summed
),
twice AS (
    SELECT * REPLACE ((xor(mixed, mixed >> 15) * 1597334677) & 4294967295 AS mixed)
    FROM once
)
SELECT CAST((mixed * $buckets) >> 32 AS INTEGER) AS bucket, user, timestamp, track, time, session, source, repeats
FROM twice
ORDER BY bucket, user, timestamp, track, session, source
