-- One row per arm of a slice: counts of what may be wrong with its sessions.
-- $begin_ms  BIGINT, the experiment's first day; earlier sessions in an arm, of a wrong clock, are left out
-- FROM slice_sessions(user BIGINT, arm VARCHAR, start_ms BIGINT, end_ms BIGINT, is_closed BOOLEAN, tracks BIGINT, requests BIGINT, logged_requests BIGINT, broken BIGINT)
-- Columns:
--   arm                 NULL for events of listeners who are in no arm at that time
--   first_ms, last_ms   BIGINT, the first and the last event
--   sessions            BIGINT, closed ones
--   events, changing_listeners, dropped_events, broken_chains, negative_latencies  BIGINT, as in `Quality` of
--                       `analysis/ab/evidence.py`; a listener changes from the first arm
WITH sessions AS (
    SELECT *
    FROM slice_sessions
    WHERE arm IS NULL OR start_ms >= $begin_ms
),
changing AS (
    SELECT min_by(arm, start_ms) AS arm
    FROM sessions
    WHERE arm IS NOT NULL
    GROUP BY user
    HAVING min(arm) <> max(arm)
)
SELECT
    arm,
    min(start_ms) AS first_ms,
    max(end_ms) AS last_ms,
    count(*) FILTER (is_closed) AS sessions,
    CAST(sum(tracks) AS BIGINT) AS events,
    (SELECT count(*) FROM changing WHERE changing.arm = sessions.arm) AS changing_listeners,
    CAST(coalesce(sum(tracks) FILTER (NOT is_closed), 0) AS BIGINT) AS dropped_events,
    CAST(sum(broken) AS BIGINT) AS broken_chains,
    CAST(sum(logged_requests - requests) AS BIGINT) AS negative_latencies
FROM sessions
GROUP BY arm
