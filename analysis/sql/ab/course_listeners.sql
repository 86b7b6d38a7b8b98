-- One row per listener and arm, with what the course's table needs; the same as in listeners.sql without ordering the
-- events: a listener's closed sessions are the events up to the latest 'last', as many as there are 'last' events.
-- Sums are of whole multiples of 2^-80, so that they do not depend on the order of the events.
-- The course's notebook computes the same by walking the events of each listener and arm in the order of time: events
-- count up to and with a 'last', latencies of closed sessions are averaged over their events, and a listener without
-- a closed session counts with no sessions and no time, and has no means.
-- Parameters:
--   none
-- Tables:
--   assigned(user BIGINT, arm VARCHAR, timestamp BIGINT, is_last BOOLEAN, time DOUBLE, latency DOUBLE)
-- Columns:
--   user, arm
--   sessions                 BIGINT, closed sessions
--   tracks                   BIGINT, events of these
--   time                     DOUBLE, listening time of these, in tracks
--   mean_request_latency     DOUBLE, ms; NULL where no event has a latency
--   mean_tracks_per_session  DOUBLE, NULL without sessions
--   mean_time_per_session    DOUBLE, NULL without sessions
WITH ends AS (
    SELECT
        user, arm,
        max(timestamp) FILTER (WHERE is_last) AS end_ms,
        count(*) FILTER (WHERE is_last) AS sessions
    FROM assigned
    WHERE arm IS NOT NULL
    GROUP BY user, arm
),
totals AS (
    SELECT
        user, arm,
        count(*) AS tracks,
        CAST(sum(CAST(time * pow(2, 80) AS HUGEINT)) AS DOUBLE) / pow(2, 80) AS time,
        count(latency) AS requests,
        CAST(sum(CAST(latency * pow(2, 80) AS HUGEINT)) AS DOUBLE) / pow(2, 80) AS latency_s
    FROM assigned
    JOIN ends USING (user, arm)
    WHERE timestamp <= end_ms
    GROUP BY user, arm
)
SELECT
    user, arm,
    ends.sessions,
    coalesce(tracks, 0) AS tracks,
    coalesce(time, 0) AS time,
    1000 * latency_s / nullif(requests, 0) AS mean_request_latency,
    tracks / nullif(ends.sessions, 0) AS mean_tracks_per_session,
    time / nullif(ends.sessions, 0) AS mean_time_per_session
FROM ends
LEFT JOIN totals USING (user, arm)
ORDER BY user, arm
