-- One row per listener, arm and segment: their latency as logged, below 0 too, which the original course service averages.
-- label: latency as logged, mean of the listeners' means
-- unit: ms
-- kind: mean of ratios
-- better: lower
-- has_past: false
-- FROM sessions(user BIGINT, arm VARCHAR, segment VARCHAR, exact_logged_latency HUGEINT, logged_requests BIGINT)
-- Columns:
--   user, arm, segment  as in sessions
--   numerator           DOUBLE, latency in ms
--   denominator         HUGEINT, events with a latency
SELECT user, arm, segment, 1000 * sum(exact_logged_latency) / pow(2, 80) AS numerator, sum(logged_requests) AS denominator
FROM sessions
GROUP BY ALL
