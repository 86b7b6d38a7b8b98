-- One row per event of the listeners of one slice, with the arm they were in.
-- The hash has 64 bits without a sign, and stays in them: of a mixed sign the remainder is taken in 128, ten times slower.
-- $slice   BIGINT, the slice, 0..slices-1
-- $slices  BIGINT, number of slices
-- FROM batch(user BIGINT, timestamp BIGINT, is_last BOOLEAN, track BIGINT, time DOUBLE, latency DOUBLE, recommendation BIGINT, experiments VARCHAR, recommender VARCHAR)
-- FROM arms(experiments VARCHAR, arm VARCHAR)
-- FROM recommenders(name VARCHAR, own VARCHAR, side INTEGER)
-- Columns:
--   user, timestamp, is_last, track, time, latency, recommendation  as in batch
--   recommender  UBIGINT, hash of its name; of one of two interleaved ones, that of both together
--   side         INTEGER, 1 or 2 for the first or second of them, if it is credited
--   arm          VARCHAR, NULL outside of the experiment
SELECT
    batch.user, timestamp, is_last, track, time, latency, recommendation,
    CASE WHEN recommender IS NOT NULL THEN hash(own) END AS recommender,
    side,
    arms.arm
FROM batch
LEFT JOIN recommenders ON recommenders.name = batch.recommender
LEFT JOIN arms ON arms.experiments IS NOT DISTINCT FROM batch.experiments
WHERE hash(batch.user) % CAST($slices AS UBIGINT) = CAST($slice AS UBIGINT)
