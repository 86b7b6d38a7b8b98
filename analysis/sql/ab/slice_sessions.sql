-- One row per session of a slice, closed or not, of listeners in an arm or before the experiment.
-- Times and latencies are added as decimals, so that sums do not depend on the order of the events.
-- $begin_ms    BIGINT, the experiment's first day
-- $quarter_ms  BIGINT, how long a quarter of the experiment is
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
--   is_old              BOOLEAN, the listener came in the first half of the experiment
--   parts               VARCHAR[], the parts of the listener's days and of the experiment's that it begins in, NULL for the second quarter
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
    min(start_ms) OVER in_arm < $begin_ms + 2 * $quarter_ms AS is_old,
    [
        CASE (start_ms - min(start_ms) OVER in_arm) // $quarter_ms WHEN 0 THEN 'first days' WHEN 1 THEN NULL ELSE 'later days' END,
        CASE (start_ms - $begin_ms) // $quarter_ms WHEN 0 THEN 'first quarter' WHEN 1 THEN NULL ELSE 'later half' END
    ] AS parts
FROM sessions
WINDOW in_arm AS (PARTITION BY user, arm)
