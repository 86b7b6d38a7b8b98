-- One row per listener and arm. A listener in two arms has two rows, each with the events in that arm.
-- What is summed or averaged is of closed sessions; the rest of the events is dropped, as the course does.
-- Parameters:
--   $start_ms  BIGINT, the experiment's first event; sessions outside of any arm that ended before it are the past
-- Tables:
--   sessions(user BIGINT, arm VARCHAR, number BIGINT, first_place BIGINT, is_closed BOOLEAN, start_ms BIGINT, end_ms BIGINT, day BIGINT, tracks BIGINT, time HUGEINT, recommended_tracks BIGINT, recommended_time HUGEINT, skips BIGINT, repeats BIGINT, requests BIGINT, latency HUGEINT, answers BIGINT, named BIGINT, fallbacks BIGINT, same_ms BIGINT, duplicates BIGINT, broken BIGINT, reversed BIGINT)
-- Columns:
--   user, arm
--   sessions                 BIGINT, closed ones
--   tracks                   BIGINT, events of these
--   time                     DOUBLE, listening time of these, in tracks
--   mean_request_latency     DOUBLE, ms; NULL where no event has a latency
--   mean_tracks_per_session  DOUBLE, NULL without sessions
--   mean_time_per_session    DOUBLE, NULL without sessions
--   recommended_tracks       BIGINT
--   recommended_time         DOUBLE
--   skips                    BIGINT
--   repeats                  BIGINT
--   requests                 BIGINT
--   latency_ms               DOUBLE, sum over the requests
--   answers                  BIGINT
--   named                    BIGINT
--   fallbacks                BIGINT
--   past_sessions            BIGINT, closed sessions before the experiment
--   past_tracks              BIGINT, events of these
--   past_time                DOUBLE, listening time of these
--   past_recommended_tracks  BIGINT
--   past_recommended_time    DOUBLE
--   past_skips               BIGINT
--   past_repeats             BIGINT
--   first_day                BIGINT, days since the epoch of the first session's end
--   last_ms                  BIGINT, the last event
WITH totals AS (
    SELECT
        user, arm,
        count(*) FILTER (WHERE is_closed) AS sessions,
        coalesce(sum(tracks) FILTER (WHERE is_closed), 0) AS tracks,
        coalesce(sum(time) FILTER (WHERE is_closed), 0) / pow(2, 80) AS time,
        coalesce(sum(recommended_tracks) FILTER (WHERE is_closed), 0) AS recommended_tracks,
        coalesce(sum(recommended_time) FILTER (WHERE is_closed), 0) / pow(2, 80) AS recommended_time,
        coalesce(sum(skips) FILTER (WHERE is_closed), 0) AS skips,
        coalesce(sum(repeats) FILTER (WHERE is_closed), 0) AS repeats,
        coalesce(sum(requests) FILTER (WHERE is_closed), 0) AS requests,
        coalesce(sum(latency) FILTER (WHERE is_closed), 0) / pow(2, 80) AS latency_s,
        coalesce(sum(answers) FILTER (WHERE is_closed), 0) AS answers,
        coalesce(sum(named) FILTER (WHERE is_closed), 0) AS named,
        coalesce(sum(fallbacks) FILTER (WHERE is_closed), 0) AS fallbacks,
        min(day) AS first_day,
        max(end_ms) AS last_ms
    FROM sessions
    WHERE arm IS NOT NULL
    GROUP BY user, arm
),
past AS (
    SELECT
        user,
        count(*) AS sessions,
        sum(tracks) AS tracks,
        sum(time) / pow(2, 80) AS time,
        sum(recommended_tracks) AS recommended_tracks,
        sum(recommended_time) / pow(2, 80) AS recommended_time,
        sum(skips) AS skips,
        sum(repeats) AS repeats
    FROM sessions
    WHERE arm IS NULL AND is_closed AND end_ms < $start_ms
    GROUP BY user
)
SELECT
    totals.user,
    totals.arm,
    totals.sessions,
    CAST(totals.tracks AS BIGINT) AS tracks,
    totals.time,
    1000 * latency_s / nullif(requests, 0) AS mean_request_latency,
    totals.tracks / nullif(totals.sessions, 0) AS mean_tracks_per_session,
    totals.time / nullif(totals.sessions, 0) AS mean_time_per_session,
    CAST(totals.recommended_tracks AS BIGINT) AS recommended_tracks,
    totals.recommended_time,
    CAST(totals.skips AS BIGINT) AS skips,
    CAST(totals.repeats AS BIGINT) AS repeats,
    CAST(requests AS BIGINT) AS requests,
    1000 * latency_s AS latency_ms,
    CAST(answers AS BIGINT) AS answers,
    CAST(named AS BIGINT) AS named,
    CAST(fallbacks AS BIGINT) AS fallbacks,
    coalesce(past.sessions, 0) AS past_sessions,
    CAST(coalesce(past.tracks, 0) AS BIGINT) AS past_tracks,
    coalesce(past.time, 0) AS past_time,
    CAST(coalesce(past.recommended_tracks, 0) AS BIGINT) AS past_recommended_tracks,
    coalesce(past.recommended_time, 0) AS past_recommended_time,
    CAST(coalesce(past.skips, 0) AS BIGINT) AS past_skips,
    CAST(coalesce(past.repeats, 0) AS BIGINT) AS past_repeats,
    first_day,
    last_ms
FROM totals
LEFT JOIN past ON past.user = totals.user
ORDER BY totals.user, totals.arm
