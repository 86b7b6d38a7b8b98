-- One row per arm, group of listeners and latency in steps of 0.1 %: the requests of closed sessions.
-- $groups  BIGINT, number of groups that listeners are put in by a hash of their id
-- FROM session_events(user BIGINT, arm VARCHAR, latency DOUBLE, is_closed BOOLEAN)
-- Columns:
--   arm
--   listener_group  BIGINT, 0..groups-1
--   step            BIGINT, the latency is 1.001^step ns to 1.001^(step + 1) ns, at least 1 ns
--   requests        BIGINT
SELECT
    arm,
    CAST((hash(user) >> 32) % CAST($groups AS UBIGINT) AS BIGINT) AS listener_group,
    CAST(floor(ln(greatest(latency * 1e9, 1)) / ln(1.001)) AS BIGINT) AS step,
    count(*) AS requests
FROM session_events
WHERE arm IS NOT NULL AND is_closed AND latency >= 0
GROUP BY arm, listener_group, step
