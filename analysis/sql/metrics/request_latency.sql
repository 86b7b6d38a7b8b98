-- One row per listener, arm and segment: the latency of their requests.
-- label: latency of a request
-- unit: ms
-- better: lower
-- has_past: false
-- FROM sessions(user BIGINT, arm VARCHAR, segment VARCHAR, exact_latency HUGEINT, requests BIGINT)
-- Columns:
--   user, arm, segment  as in sessions
--   numerator           DOUBLE, latency in ms
--   denominator         HUGEINT, events with a latency of 0 or more
SELECT user, arm, segment, 1000 * sum(exact_latency) / pow(2, 80) AS numerator, sum(requests) AS denominator
FROM sessions
GROUP BY ALL
