-- One row per arm, step of latency and group of listeners: the requests of all slices.
-- FROM latencies(arm VARCHAR, listener_group BIGINT, step BIGINT, requests BIGINT)
-- Columns:
--   arm, step, listener_group, requests  as in latencies.sql
SELECT arm, step, listener_group, CAST(sum(requests) AS BIGINT) AS requests
FROM latencies
GROUP BY arm, step, listener_group
ORDER BY arm, step, listener_group
