-- One row per arm, group of listeners and latency in steps of 0.1 %: the requests of closed sessions.
-- Parameters:
--   $groups  BIGINT, number of groups that listeners are put in by a hash of their id
-- Tables:
--   session_events(user BIGINT, arm VARCHAR, number BIGINT, latency DOUBLE)
--   slice_sessions(user BIGINT, arm VARCHAR, number BIGINT, is_closed BOOLEAN)
-- Columns:
--   arm
--   listener_group  BIGINT, 0..groups-1
--   step            BIGINT, the latency is 1.001^step ns to 1.001^(step + 1) ns, at least 1 ns
--   requests        BIGINT
SELECT
    event.arm,
    CAST(hash(event.user) // 4294967296 % $groups AS BIGINT) AS listener_group,
    CAST(floor(ln(greatest(event.latency * 1e9, 1)) / ln(1.001)) AS BIGINT) AS step,
    count(*) AS requests
FROM session_events AS event
JOIN slice_sessions AS session
    ON session.user = event.user AND session.arm = event.arm AND session.number = event.number
WHERE session.is_closed AND event.latency IS NOT NULL
GROUP BY event.arm, listener_group, step
