-- One row per listener and arm, with the sums of the original table; the same as in listener_sums.sql without ordering
-- the events: a listener's closed sessions are the events up to the latest 'last', as many as there are 'last' events.
-- Sums are of whole multiples of 2^-80, so that they do not depend on the order of the events.
-- The original course service's notebook computes the same by walking the events of each listener and arm in the order
-- of time: events count up to and with a 'last', latencies of closed sessions are averaged over their events, and a
-- listener without a closed session counts with no sessions and no time, and has no means.
-- $assigned_file  VARCHAR, Parquet file of the events of a slice
-- $end_ms         BIGINT, the first millisecond after the horizon of the experiment
-- FROM assigned(user BIGINT, arm VARCHAR, timestamp BIGINT, message VARCHAR, time DOUBLE, latency DOUBLE)
-- Columns:
--   user, arm, part, sessions, tracks, time, logged_requests, logged_latency_ms  as in listener_sums.sql
WITH ends AS (
    SELECT
        user, arm,
        max(timestamp) FILTER (WHERE message = 'last') AS end_ms,
        count(*) FILTER (WHERE message = 'last') AS sessions
    FROM read_parquet($assigned_file)
    WHERE arm IS NOT NULL AND timestamp < $end_ms
    GROUP BY user, arm
)
SELECT
    user, arm, 0 AS part,
    any_value(sessions) AS sessions,
    count(*) FILTER (WHERE timestamp <= end_ms) AS tracks,
    coalesce(sum(CAST(time * pow(2, 80) AS HUGEINT)) FILTER (WHERE timestamp <= end_ms), 0) / pow(2, 80) AS time,
    count(latency) FILTER (WHERE timestamp <= end_ms) AS logged_requests,
    1000 * coalesce(sum(CAST(latency * pow(2, 80) AS HUGEINT)) FILTER (WHERE timestamp <= end_ms), 0) / pow(2, 80)
    AS logged_latency_ms
FROM read_parquet($assigned_file)
JOIN ends USING (user, arm)
WHERE timestamp < $end_ms
GROUP BY user, arm
