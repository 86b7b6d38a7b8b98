-- One row per session and segment: its tracks that were heard before in it.
-- label: share of tracks heard before in the session
-- better: lower
-- FROM sessions(user BIGINT, arm VARCHAR, segment VARCHAR, repeats BIGINT, tracks BIGINT)
-- Columns:
--   user, arm, segment  as in sessions
--   numerator           BIGINT, tracks heard before in the session
--   denominator         BIGINT, tracks
SELECT user, arm, segment, repeats AS numerator, tracks AS denominator
FROM sessions
