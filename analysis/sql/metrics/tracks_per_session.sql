-- One row per session and segment: its tracks.
-- label: tracks per session
-- unit: tracks
-- FROM sessions(user BIGINT, arm VARCHAR, segment VARCHAR, tracks BIGINT)
-- Columns:
--   user, arm, segment  as in sessions
--   numerator           BIGINT, tracks
--   denominator         INTEGER, 1 for the session
SELECT user, arm, segment, tracks AS numerator, 1 AS denominator
FROM sessions
