-- One row per arm of a slice: its first and last event, and counts of what may be wrong with its events.
-- FROM slice_sessions(user BIGINT, arm VARCHAR, start_ms BIGINT, end_ms BIGINT, is_closed BOOLEAN, tracks BIGINT, requests BIGINT, logged_requests BIGINT, broken BIGINT)
-- Columns:
--   arm                 NULL for events of listeners who are in no arm at that time
--   first_ms, last_ms   BIGINT
--   changing_listeners  BIGINT, listeners who were in more than one arm, of whom this is the first by name
--   events, dropped_events, broken_chains, negative_latencies  BIGINT, as in `Quality` of `analysis/ab/evidence.py`
WITH changing AS (
    SELECT arm, count(*) AS listeners
    FROM (SELECT min(arm) AS arm FROM slice_sessions GROUP BY user HAVING min(arm) <> max(arm))
    GROUP BY arm
)
SELECT
    arm,
    min(start_ms) AS first_ms,
    max(end_ms) AS last_ms,
    coalesce(any_value(changing.listeners), 0) AS changing_listeners,
    CAST(sum(tracks) AS BIGINT) AS events,
    CAST(coalesce(sum(tracks) FILTER (WHERE NOT is_closed), 0) AS BIGINT) AS dropped_events,
    CAST(sum(broken) AS BIGINT) AS broken_chains,
    CAST(sum(logged_requests - requests) AS BIGINT) AS negative_latencies
FROM slice_sessions
LEFT JOIN changing USING (arm)
GROUP BY arm
