-- One row per listener, arm and day on which they closed a session.
-- Parameters:
--   none
-- Tables:
--   sessions(user BIGINT, arm VARCHAR, is_closed BOOLEAN, day BIGINT, tracks BIGINT, time HUGEINT, recommended_tracks BIGINT, recommended_time HUGEINT, skips BIGINT, repeats BIGINT, requests BIGINT, latency HUGEINT, named BIGINT, fallbacks BIGINT)
-- Columns:
--   user, arm
--   day                 BIGINT, days since the epoch, UTC
--   sessions            BIGINT, sessions that ended on it
--   tracks              BIGINT, events of these
--   time                DOUBLE, listening time of these
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
    arm,
    day,
    count(*) AS sessions,
    CAST(sum(tracks) AS BIGINT) AS tracks,
    sum(time) / pow(2, 80) AS time,
    CAST(sum(recommended_tracks) AS BIGINT) AS recommended_tracks,
    sum(recommended_time) / pow(2, 80) AS recommended_time,
    CAST(sum(skips) AS BIGINT) AS skips,
    CAST(sum(repeats) AS BIGINT) AS repeats,
    CAST(sum(requests) AS BIGINT) AS requests,
    1000 * sum(latency) / pow(2, 80) AS latency_ms,
    CAST(sum(named) AS BIGINT) AS named,
    CAST(sum(fallbacks) AS BIGINT) AS fallbacks
FROM sessions
WHERE arm IS NOT NULL AND is_closed
GROUP BY user, arm, day
ORDER BY user, arm, day
