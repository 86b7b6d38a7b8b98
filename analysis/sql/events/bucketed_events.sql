-- One row per event, with its user's bucket.
-- The bucket is a hash of the user alone: the two halves of the id folded into 32 bits, mixed twice by multiplication
-- and a shift, and scaled to the number of buckets. No step exceeds 63 bits, so every engine computes the same;
-- `bucket_of` in `recsys.store` is this function in Python.
-- Parameters:
--   $buckets  BIGINT, number of buckets, up to 2^31
-- Tables:
--   events(user BIGINT, timestamp BIGINT, message VARCHAR, track BIGINT, time DOUBLE, latency DOUBLE, recommendation BIGINT, experiments VARCHAR, session VARCHAR, recommender VARCHAR, propensity DOUBLE)
-- Columns:
--   user            BIGINT
--   moment          BIGINT, twice the timestamp, and 1 more for 'last': the order of a user's events in one number
--   track, time, latency, recommendation, experiments, session, recommender, propensity  as in events
--   bucket          INTEGER, 0..buckets-1
WITH folded AS (
    SELECT *, xor(user, user >> 32) & 4294967295 AS mixed
    FROM events
),
once AS (
    SELECT * REPLACE ((mixed * 1640531527) & 4294967295 AS mixed)
    FROM folded
),
twice AS (
    SELECT * REPLACE ((xor(mixed, mixed >> 15) * 1597334677) & 4294967295 AS mixed)
    FROM once
)
SELECT
    user,
    timestamp * 2 + CAST(message = 'last' AS BIGINT) AS moment,
    track, time, latency, recommendation, experiments, session, recommender, propensity,
    CAST((mixed * $buckets) >> 32 AS INTEGER) AS bucket
FROM twice
