-- One row per listener and day on which they closed a session, by listener, then day.
-- Parameters:
--   none
-- Tables:
--   listener_days(user BIGINT, arm VARCHAR, day BIGINT, sessions BIGINT, tracks BIGINT, time DOUBLE, recommended_tracks BIGINT, recommended_time DOUBLE, skips BIGINT, repeats BIGINT, requests BIGINT, latency_ms DOUBLE, named BIGINT, fallbacks BIGINT)
-- Columns:
--   user
--   day                 BIGINT, days since the epoch, UTC
--   sessions            BIGINT, sessions that ended on it
--   tracks              BIGINT, events of these
--   time                DOUBLE, listening time of these, in tracks
--   recommended_tracks  BIGINT
--   recommended_time    DOUBLE
--   skips               BIGINT
--   repeats             BIGINT
--   requests            BIGINT
--   latency_ms          DOUBLE
--   named               BIGINT
--   fallbacks           BIGINT
SELECT
    user,
    day,
    sessions,
    tracks,
    time,
    recommended_tracks,
    recommended_time,
    skips,
    repeats,
    requests,
    latency_ms,
    named,
    fallbacks
FROM listener_days
ORDER BY user, day
