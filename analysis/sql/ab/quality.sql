-- One row per arm of a slice and day: who was there, and counts of what may be wrong with the sessions that began on it.
-- FROM slice_sessions(user BIGINT, arm VARCHAR, start_ms BIGINT, end_ms BIGINT, is_closed BOOLEAN, tracks BIGINT, requests BIGINT, logged_requests BIGINT, broken BIGINT)
-- Columns:
--   arm                 NULL for events of listeners who are in no arm at that time
--   day                 BIGINT, days since the epoch, UTC
--   first_ms, last_ms   BIGINT, the first and the last event
--   listeners           BIGINT
--   changing_listeners  BIGINT, listeners who are in another arm later
--   sessions            BIGINT, closed ones
--   events, dropped_events, broken_chains, negative_latencies  BIGINT, as in `Quality` of `analysis/ab/evidence.py`
WITH sessions AS (
    SELECT *, start_ms // 86400000 AS day
    FROM slice_sessions
),
changing AS (
    SELECT min_by(arm, start_ms) AS arm, min(day) AS day
    FROM sessions
    WHERE arm IS NOT NULL
    GROUP BY user
    HAVING min(arm) <> max(arm)
)
SELECT
    arm, day,
    min(start_ms) AS first_ms,
    max(end_ms) AS last_ms,
    count(DISTINCT user) AS listeners,
    (
        SELECT count(*) FROM changing WHERE changing.arm = sessions.arm AND changing.day = sessions.day
    ) AS changing_listeners,
    count(*) FILTER (is_closed) AS sessions,
    CAST(sum(tracks) AS BIGINT) AS events,
    CAST(coalesce(sum(tracks) FILTER (NOT is_closed), 0) AS BIGINT) AS dropped_events,
    CAST(sum(broken) AS BIGINT) AS broken_chains,
    CAST(sum(logged_requests - requests) AS BIGINT) AS negative_latencies
FROM sessions
GROUP BY arm, day
