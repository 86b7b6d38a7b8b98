-- One row per event of a bucket, in the order of the session store: by user and time, 'next' before 'last', the
-- smaller track first.
-- Parameters:
--   none
-- Tables:
--   bucket_events(user BIGINT, moment BIGINT, track BIGINT, time DOUBLE, latency FLOAT, recommendation BIGINT, experiments VARCHAR, session VARCHAR, recommender VARCHAR, propensity DOUBLE)
-- Columns:
--   user       BIGINT
--   timestamp  BIGINT, ms since the epoch
--   message    VARCHAR, 'next' or 'last'
--   track, time, latency, recommendation, experiments, session, recommender, propensity  as in bucket_events
SELECT
    user,
    moment >> 1 AS timestamp,
    CASE WHEN moment & 1 = 1 THEN 'last' ELSE 'next' END AS message,
    track, time, latency, recommendation, experiments, session, recommender, propensity
FROM bucket_events
ORDER BY user, moment, track
