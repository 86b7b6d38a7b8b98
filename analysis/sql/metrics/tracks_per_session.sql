-- One row per listener, arm and segment: their tracks and sessions.
-- label: tracks per session
-- unit: tracks
-- FROM sessions(user BIGINT, arm VARCHAR, segment VARCHAR, tracks BIGINT)
-- Columns:
--   user, arm, segment  as in sessions
--   numerator           HUGEINT, tracks
--   denominator         BIGINT, sessions
SELECT user, arm, segment, sum(tracks) AS numerator, count(*) AS denominator
FROM sessions
GROUP BY ALL
