-- One row per listener, arm and part of the experiment: sums over closed sessions, of which the built-in metrics are made.
-- A listener in two arms has rows in both. Events of sessions that were not closed are dropped, as the original course
-- service does; a listener who has no other has no sessions and no sums.
-- FROM divided(user BIGINT, arm VARCHAR, part BIGINT, is_closed BOOLEAN, tracks BIGINT, exact_time HUGEINT, recommended_tracks BIGINT, exact_recommended_time HUGEINT, skips BIGINT, repeats BIGINT, requests BIGINT, exact_latency HUGEINT, logged_requests BIGINT, exact_logged_latency HUGEINT, named BIGINT, fallbacks BIGINT)
-- Columns:
--   user, arm, part     as in closed_sessions.sql
--   sessions            BIGINT
--   tracks              BIGINT, events
--   time                DOUBLE, listening time, in tracks
--   recommended_tracks  BIGINT
--   recommended_time    DOUBLE, listening time of these
--   skips               BIGINT, recommended tracks that were skipped
--   repeats             BIGINT, tracks heard before in the session
--   requests            BIGINT, events with a latency of 0 or more
--   latency_ms          DOUBLE, over the requests
--   logged_requests     BIGINT, events with a latency, also one below 0, which the original course service averages too
--   logged_latency_ms   DOUBLE, over these
--   named               BIGINT, recommendations whose recommender is known
--   fallbacks           BIGINT, of these, by another than the arm's own
SELECT
    user, arm, part,
    count(*) FILTER (WHERE is_closed) AS sessions,
    CAST(sum(tracks) FILTER (WHERE is_closed) AS BIGINT) AS tracks,
    sum(exact_time) FILTER (WHERE is_closed) / pow(2, 80) AS time,
    CAST(sum(recommended_tracks) FILTER (WHERE is_closed) AS BIGINT) AS recommended_tracks,
    sum(exact_recommended_time) FILTER (WHERE is_closed) / pow(2, 80) AS recommended_time,
    CAST(sum(skips) FILTER (WHERE is_closed) AS BIGINT) AS skips,
    CAST(sum(repeats) FILTER (WHERE is_closed) AS BIGINT) AS repeats,
    CAST(sum(requests) FILTER (WHERE is_closed) AS BIGINT) AS requests,
    1000 * sum(exact_latency) FILTER (WHERE is_closed) / pow(2, 80) AS latency_ms,
    CAST(sum(logged_requests) FILTER (WHERE is_closed) AS BIGINT) AS logged_requests,
    1000 * sum(exact_logged_latency) FILTER (WHERE is_closed) / pow(2, 80) AS logged_latency_ms,
    CAST(sum(named) FILTER (WHERE is_closed) AS BIGINT) AS named,
    CAST(sum(fallbacks) FILTER (WHERE is_closed) AS BIGINT) AS fallbacks
FROM divided
GROUP BY user, arm, part
