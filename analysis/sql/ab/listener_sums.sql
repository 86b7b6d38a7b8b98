-- One row per listener and arm, or per listener, arm and period in which they closed a session. A listener in two arms has
-- rows in both. Sums are over closed sessions; the events of others are dropped, as the original course service does.
-- $period_ms  BIGINT, a row for each period of this length; 0 for one row, which listeners without a closed session have too
-- $start_ms   BIGINT, the experiment's first event; rows without an arm are of sessions that ended before it
-- FROM sessions(user BIGINT, arm VARCHAR, is_closed BOOLEAN, end_ms BIGINT, tracks BIGINT, time HUGEINT, recommended_tracks BIGINT, recommended_time HUGEINT, skips BIGINT, repeats BIGINT, requests BIGINT, latency HUGEINT, logged_requests BIGINT, logged_latency HUGEINT, named BIGINT, fallbacks BIGINT)
-- Columns:
--   user, arm           arm is NULL for the time before the experiment
--   period              BIGINT, periods since the epoch, UTC, at the end of the sessions; 0 without periods
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
    user,
    arm,
    CASE WHEN $period_ms > 0 THEN end_ms // $period_ms ELSE 0 END AS period,
    count(*) FILTER (WHERE is_closed) AS sessions,
    CAST(coalesce(sum(tracks) FILTER (WHERE is_closed), 0) AS BIGINT) AS tracks,
    coalesce(sum(time) FILTER (WHERE is_closed), 0) / pow(2, 80) AS time,
    CAST(coalesce(sum(recommended_tracks) FILTER (WHERE is_closed), 0) AS BIGINT) AS recommended_tracks,
    coalesce(sum(recommended_time) FILTER (WHERE is_closed), 0) / pow(2, 80) AS recommended_time,
    CAST(coalesce(sum(skips) FILTER (WHERE is_closed), 0) AS BIGINT) AS skips,
    CAST(coalesce(sum(repeats) FILTER (WHERE is_closed), 0) AS BIGINT) AS repeats,
    CAST(coalesce(sum(requests) FILTER (WHERE is_closed), 0) AS BIGINT) AS requests,
    1000 * coalesce(sum(latency) FILTER (WHERE is_closed), 0) / pow(2, 80) AS latency_ms,
    CAST(coalesce(sum(logged_requests) FILTER (WHERE is_closed), 0) AS BIGINT) AS logged_requests,
    1000 * coalesce(sum(logged_latency) FILTER (WHERE is_closed), 0) / pow(2, 80) AS logged_latency_ms,
    CAST(coalesce(sum(named) FILTER (WHERE is_closed), 0) AS BIGINT) AS named,
    CAST(coalesce(sum(fallbacks) FILTER (WHERE is_closed), 0) AS BIGINT) AS fallbacks
FROM sessions
WHERE CASE WHEN arm IS NULL THEN is_closed AND end_ms < $start_ms ELSE is_closed OR $period_ms = 0 END
GROUP BY ALL
