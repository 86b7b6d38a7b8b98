-- One row per listener, arm and segment: the recommended tracks that they skipped.
-- label: share of recommended tracks that were skipped
-- better: lower
-- FROM sessions(user BIGINT, arm VARCHAR, segment VARCHAR, skips BIGINT, recommended_tracks BIGINT)
-- Columns:
--   user, arm, segment  as in sessions
--   numerator           HUGEINT, skips
--   denominator         HUGEINT, recommended tracks
SELECT user, arm, segment, sum(skips) AS numerator, sum(recommended_tracks) AS denominator
FROM sessions
GROUP BY ALL
