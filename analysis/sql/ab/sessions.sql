-- One row per session, closed or not, of listeners in an arm or before the experiment.
-- Sums are of whole multiples of 2^-80, so that they do not depend on the order of the events.
-- $skip_below  DOUBLE, a recommended track that is heard for less was skipped
-- FROM session_events(user BIGINT, arm VARCHAR, timestamp BIGINT, is_last BOOLEAN, track BIGINT, time DOUBLE, latency DOUBLE, position BIGINT, number BIGINT, is_organic BOOLEAN, is_named BOOLEAN, is_fallback BOOLEAN, is_at_once BOOLEAN, is_repeated BOOLEAN, is_broken BOOLEAN, is_reversed BOOLEAN)
-- Columns:
--   user, arm, number   the listener, the arm (NULL: none), the session's number among theirs
--   is_closed           BOOLEAN, ends with a 'last'
--   start_ms, end_ms    BIGINT, its first and last event
--   first_position      BIGINT, of its first event among the listener's
--   organic             the track that opened it
--   tracks, time, recommended_tracks, recommended_time, skips, repeats, requests  as in listener_sums.sql, but times are
--                       HUGEINT, in 2^-80 tracks; the organic track, a session's first, is not recommended
--   latency             HUGEINT, sum of latencies over the requests in 2^-80 s
--   logged_requests, logged_latency  the same with latencies below 0
--   answers             BIGINT, requests for a recommendation
--   named, fallbacks    as in listener_sums.sql
--   at_once, duplicates, broken, reversed  BIGINT, events that are so
SELECT
    user, arm, number,
    bool_or(is_last) AS is_closed,
    min(timestamp) AS start_ms,
    max(timestamp) AS end_ms,
    min(position) AS first_position,
    any_value(track) FILTER (WHERE is_organic) AS organic,
    count(*) AS tracks,
    sum(CAST(time * pow(2, 80) AS HUGEINT)) AS time,
    count(*) FILTER (WHERE NOT is_organic) AS recommended_tracks,
    coalesce(sum(CAST(time * pow(2, 80) AS HUGEINT)) FILTER (WHERE NOT is_organic), 0) AS recommended_time,
    count(*) FILTER (WHERE NOT is_organic AND time < $skip_below) AS skips,
    count(*) - count(DISTINCT track) AS repeats,
    count(*) FILTER (WHERE latency >= 0) AS requests,
    coalesce(sum(CAST(latency * pow(2, 80) AS HUGEINT)) FILTER (WHERE latency >= 0), 0) AS latency,
    count(latency) AS logged_requests,
    coalesce(sum(CAST(latency * pow(2, 80) AS HUGEINT)), 0) AS logged_latency,
    count(*) FILTER (WHERE NOT is_last) AS answers,
    count(*) FILTER (WHERE is_named) AS named,
    count(*) FILTER (WHERE is_fallback) AS fallbacks,
    count(*) FILTER (WHERE is_at_once) AS at_once,
    count(*) FILTER (WHERE is_repeated) AS duplicates,
    count(*) FILTER (WHERE is_broken) AS broken,
    count(*) FILTER (WHERE is_reversed) AS reversed
FROM session_events
GROUP BY user, arm, number
