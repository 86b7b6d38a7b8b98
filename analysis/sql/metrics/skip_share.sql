-- One row per session and segment: its recommended tracks that were skipped.
-- label: share of recommended tracks that were skipped
-- better: lower
-- FROM sessions(user BIGINT, arm VARCHAR, segment VARCHAR, skips BIGINT, recommended_tracks BIGINT)
-- Columns:
--   user, arm, segment  as in sessions
--   numerator           BIGINT, skips
--   denominator         BIGINT, recommended tracks
SELECT user, arm, segment, skips AS numerator, recommended_tracks AS denominator
FROM sessions
