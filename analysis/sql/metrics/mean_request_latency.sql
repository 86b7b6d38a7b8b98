-- One row per session and segment: its latency as logged, below 0 too, which the original course service averages.
-- label: latency as logged, mean of the listeners' means
-- unit: ms
-- kind: mean of ratios
-- better: lower
-- has_past: false
-- FROM sessions(user BIGINT, arm VARCHAR, segment VARCHAR, logged_latency DECIMAL(38, 20), logged_requests BIGINT)
-- Columns:
--   user, arm, segment  as in sessions
--   numerator           DECIMAL, latency in ms
--   denominator         BIGINT, events with a latency
SELECT user, arm, segment, 1000 * logged_latency AS numerator, logged_requests AS denominator
FROM sessions
