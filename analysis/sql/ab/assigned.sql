-- One row per event of the listeners of one slice, with the arm they were in.
-- The hash has 64 bits without a sign, and stays in them: of a mixed sign the remainder is taken in 128, ten times slower.
-- $slice   BIGINT, the slice, 0..slices-1
-- $slices  BIGINT, number of slices
-- FROM batch(user BIGINT, timestamp BIGINT, is_last BOOLEAN, track BIGINT, time DOUBLE, latency DOUBLE, recommendation BIGINT, experiments VARCHAR, session UBIGINT, recommender VARCHAR)
-- FROM arms(experiments VARCHAR, arm VARCHAR)
-- Columns:
--   user, timestamp, is_last, track, time, latency, recommendation, session  as in batch
--   recommender  UBIGINT, hash of its name
--   arm          VARCHAR, NULL outside of the experiment
SELECT
    batch.user, timestamp, is_last, track, time, latency, recommendation, session,
    CASE WHEN recommender IS NOT NULL THEN hash(recommender) END AS recommender,
    arms.arm
FROM batch
LEFT JOIN arms ON arms.experiments IS NOT DISTINCT FROM batch.experiments
WHERE hash(batch.user) % CAST($slices AS UBIGINT) = CAST($slice AS UBIGINT)
