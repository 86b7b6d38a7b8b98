-- One row per event of a closed session with a latency of 0 or more.
-- label: 99th percentile of latency
-- unit: ms
-- quantile: 0.99
-- better: lower
-- absent: no request was answered by itself
-- margin: 50
-- FROM events(user BIGINT, arm VARCHAR, latency DOUBLE)
-- Columns:
--   user, arm
--   value      DOUBLE, latency in ms
SELECT user, arm, 1000 * latency AS value
FROM events
WHERE latency >= 0
