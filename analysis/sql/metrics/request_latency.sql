-- One row per session and segment: the latency of its requests.
-- label: latency of a request
-- unit: ms
-- better: lower
-- has_past: false
-- FROM sessions(user BIGINT, arm VARCHAR, segment VARCHAR, latency DECIMAL(38, 20), requests BIGINT)
-- Columns:
--   user, arm, segment  as in sessions
--   numerator           DECIMAL, latency in ms
--   denominator         BIGINT, events with a latency of 0 or more
SELECT user, arm, segment, 1000 * latency AS numerator, requests AS denominator
FROM sessions
