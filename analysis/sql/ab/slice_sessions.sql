-- One row per session of a slice, closed or not, of listeners in an arm or before the experiment.
-- exact_… are sums of whole multiples of 2^-80, so that they do not depend on the order of the events.
-- $skip_below  DOUBLE, a recommended track that is heard for less was skipped
-- $part_ms     BIGINT, how long each part of a listener's first days is
-- $old_ms      BIGINT, listeners who came later have not been there for two of them
-- FROM session_events(user BIGINT, arm VARCHAR, timestamp BIGINT, is_last BOOLEAN, track BIGINT, time DOUBLE, latency DOUBLE, position BIGINT, number BIGINT, is_organic BOOLEAN, is_named BOOLEAN, is_fallback BOOLEAN, is_broken BOOLEAN)
-- Columns:
--   user, arm, number   the listener, the arm (NULL: none), the session's number among theirs
--   is_closed           BOOLEAN, ends with a 'last'
--   start_ms, end_ms    BIGINT, its first and last event
--   first_position      BIGINT, of its first event among the listener's
--   organic             the track that opened it
--   exact_time, time    HUGEINT and DOUBLE, listening time in 2^-80 tracks and in tracks
--   exact_recommended_time, recommended_time  the same of recommended tracks
--   exact_latency, exact_logged_latency  HUGEINT, over the requests and the logged requests, in 2^-80 s
--   tracks              BIGINT, events
--   recommended_tracks  BIGINT, all but the organic one
--   skips               BIGINT, recommended tracks that were skipped
--   repeats             BIGINT, tracks heard before in the session
--   requests            BIGINT, events with a latency of 0 or more
--   logged_requests     BIGINT, events with a latency, also one below 0, which the original course service averages too
--   named               BIGINT, recommendations whose recommender is known
--   fallbacks           BIGINT, of these, by another than the arm's own
--   broken              BIGINT, events that are so
--   part                BIGINT, the part of the listener's days that it begins in, from 1; NULL of listeners who came later
WITH sessions AS (
    SELECT
        user, arm, number,
        bool_or(is_last) AS is_closed,
        min(timestamp) AS start_ms,
        max(timestamp) AS end_ms,
        min(position) AS first_position,
        any_value(track) FILTER (WHERE is_organic) AS organic,
        sum(CAST(time * pow(2, 80) AS HUGEINT)) AS exact_time,
        exact_time / pow(2, 80) AS time,
        coalesce(sum(CAST(time * pow(2, 80) AS HUGEINT)) FILTER (WHERE NOT is_organic), 0) AS exact_recommended_time,
        exact_recommended_time / pow(2, 80) AS recommended_time,
        coalesce(sum(CAST(latency * pow(2, 80) AS HUGEINT)) FILTER (WHERE latency >= 0), 0) AS exact_latency,
        coalesce(sum(CAST(latency * pow(2, 80) AS HUGEINT)), 0) AS exact_logged_latency,
        count(*) AS tracks,
        count(*) FILTER (WHERE NOT is_organic) AS recommended_tracks,
        count(*) FILTER (WHERE NOT is_organic AND time < $skip_below) AS skips,
        count(*) - list_unique(list(track)) AS repeats,
        count(*) FILTER (WHERE latency >= 0) AS requests,
        count(latency) AS logged_requests,
        count(*) FILTER (WHERE is_named) AS named,
        count(*) FILTER (WHERE is_fallback) AS fallbacks,
        count(*) FILTER (WHERE is_broken) AS broken
    FROM session_events
    GROUP BY user, arm, number
)
SELECT
    *,
    CASE WHEN min(start_ms) OVER in_arm <= $old_ms THEN (start_ms - min(start_ms) OVER in_arm) // $part_ms + 1 END AS part
FROM sessions
WINDOW in_arm AS (PARTITION BY user, arm)
