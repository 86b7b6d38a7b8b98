-- One row per listener, arm and segment: the tracks that they heard again in a session.
-- label: share of tracks heard before in the session
-- better: lower
-- FROM sessions(user BIGINT, arm VARCHAR, segment VARCHAR, repeats BIGINT, tracks BIGINT)
-- Columns:
--   user, arm, segment  as in sessions
--   numerator           HUGEINT, tracks heard before in the session
--   denominator         HUGEINT, tracks
SELECT user, arm, segment, sum(repeats) AS numerator, sum(tracks) AS denominator
FROM sessions
GROUP BY ALL
