-- One row per session, closed or not, of listeners in an arm or before the experiment.
-- Sums are of whole multiples of 2^-80, so that they do not depend on the order of the events.
-- $skip_below  DOUBLE, a recommended track that is heard for less was skipped
-- FROM session_events(user BIGINT, arm VARCHAR, timestamp BIGINT, is_last BOOLEAN, track BIGINT, time DOUBLE, latency DOUBLE, position BIGINT, number BIGINT, is_organic BOOLEAN, is_named BOOLEAN, is_fallback BOOLEAN, is_repeated BOOLEAN, is_broken BOOLEAN)
-- Columns:
--   user, arm, number   the listener, the arm (NULL: none), the session's number among theirs
--   is_closed           BOOLEAN, ends with a 'last'
--   start_ms, end_ms    BIGINT, its first and last event
--   first_position      BIGINT, of its first event among the listener's
--   organic             the track that opened it
--   exact_time, exact_recommended_time  HUGEINT, listening time in 2^-80 tracks, for sums that depend on no order
--   exact_latency, exact_logged_latency  HUGEINT, sums of latencies over the requests and logged requests, in 2^-80 s
--   tracks, time, recommended_tracks, recommended_time, skips, repeats, requests, logged_requests, named, fallbacks  as in
--                       listener_sums.sql; the organic track, a session's first, is not recommended
--   duplicates, broken  BIGINT, events that are so
SELECT
    user, arm, number,
    bool_or(is_last) AS is_closed,
    min(timestamp) AS start_ms,
    max(timestamp) AS end_ms,
    min(position) AS first_position,
    any_value(track) FILTER (WHERE is_organic) AS organic,
    sum(CAST(time * pow(2, 80) AS HUGEINT)) AS exact_time,
    coalesce(sum(CAST(time * pow(2, 80) AS HUGEINT)) FILTER (WHERE NOT is_organic), 0) AS exact_recommended_time,
    coalesce(sum(CAST(latency * pow(2, 80) AS HUGEINT)) FILTER (WHERE latency >= 0), 0) AS exact_latency,
    coalesce(sum(CAST(latency * pow(2, 80) AS HUGEINT)), 0) AS exact_logged_latency,
    count(*) AS tracks,
    exact_time / pow(2, 80) AS time,
    count(*) FILTER (WHERE NOT is_organic) AS recommended_tracks,
    exact_recommended_time / pow(2, 80) AS recommended_time,
    count(*) FILTER (WHERE NOT is_organic AND time < $skip_below) AS skips,
    count(*) - count(DISTINCT track) AS repeats,
    count(*) FILTER (WHERE latency >= 0) AS requests,
    count(latency) AS logged_requests,
    count(*) FILTER (WHERE is_named) AS named,
    count(*) FILTER (WHERE is_fallback) AS fallbacks,
    count(*) FILTER (WHERE is_repeated) AS duplicates,
    count(*) FILTER (WHERE is_broken) AS broken
FROM session_events
GROUP BY user, arm, number
