-- One row per session of a slice, closed or not, of listeners in an arm or before the experiment.
-- Times and latencies are added as decimals, so that sums do not depend on the order of the events.
-- $part_ms  BIGINT, how long each part of a listener's first days is
-- $old_ms   BIGINT, listeners who came later have not been there for two of them
-- FROM session_events(user BIGINT, arm VARCHAR, timestamp BIGINT, is_last BOOLEAN, track BIGINT, time DOUBLE, latency DOUBLE, position BIGINT, number BIGINT, is_organic BOOLEAN, is_named BOOLEAN, is_fallback BOOLEAN, is_broken BOOLEAN)
-- Columns:
--   user, arm, number   the listener, the arm (NULL: none), the session's number in the slice
--   is_closed           BOOLEAN, ends with a 'last'
--   start_ms, end_ms    BIGINT, its first and last event
--   first_position      BIGINT, of its first event
--   organic             the track that opened it
--   time, recommended_time   DECIMAL, listening time in tracks, and that of recommended tracks
--   latency, logged_latency  DECIMAL, over the requests and the logged requests, in s
--   tracks              BIGINT, events
--   recommended_tracks  BIGINT, all but the organic one
--   skips               BIGINT, recommended tracks of which less than a tenth was heard
--   repeats             BIGINT, tracks heard before in the session
--   requests            BIGINT, events with a latency of 0 or more
--   logged_requests     BIGINT, events with a latency, also one below 0, which the original course service averages too
--   named               BIGINT, recommendations whose recommender is known
--   fallbacks           BIGINT, of these, by another than the arm's own
--   broken              BIGINT, events that are so
--   part                BIGINT, the part of the listener's days that it begins in, from 1; NULL of listeners who came later
WITH events AS (
    SELECT
        *,
        CAST(time AS DECIMAL(38, 20)) AS exact_time,
        CAST(latency AS DECIMAL(38, 20)) AS exact_latency
    FROM session_events
),
sessions AS (
    SELECT
        any_value(user) AS user,
        any_value(arm) AS arm,
        number,
        bool_or(is_last) AS is_closed,
        min(timestamp) AS start_ms,
        max(timestamp) AS end_ms,
        min(position) AS first_position,
        any_value(track) FILTER (is_organic) AS organic,
        sum(exact_time) AS time,
        coalesce(sum(exact_time) FILTER (NOT is_organic), 0) AS recommended_time,
        coalesce(sum(exact_latency) FILTER (exact_latency >= 0), 0) AS latency,
        coalesce(sum(exact_latency), 0) AS logged_latency,
        count(*) AS tracks,
        count(*) FILTER (NOT is_organic) AS recommended_tracks,
        count(*) FILTER (NOT is_organic AND events.time < 0.1) AS skips,
        count(*) - list_unique(list(track)) AS repeats,
        count(*) FILTER (exact_latency >= 0) AS requests,
        count(exact_latency) AS logged_requests,
        count(*) FILTER (is_named) AS named,
        count(*) FILTER (is_fallback) AS fallbacks,
        count(*) FILTER (is_broken) AS broken
    FROM events
    GROUP BY number
)
SELECT
    *,
    CASE WHEN min(start_ms) OVER in_arm <= $old_ms THEN (start_ms - min(start_ms) OVER in_arm) // $part_ms + 1 END AS part
FROM sessions
WINDOW in_arm AS (PARTITION BY user, arm)
