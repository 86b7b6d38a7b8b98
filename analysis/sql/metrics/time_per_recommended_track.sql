-- One row per session and segment: its listening time of recommended tracks.
-- label: listening time of a recommended track
-- unit: of the track
-- FROM sessions(user BIGINT, arm VARCHAR, segment VARCHAR, recommended_time DECIMAL(38, 20), recommended_tracks BIGINT)
-- Columns:
--   user, arm, segment  as in sessions
--   numerator           DECIMAL, listening time in tracks
--   denominator         BIGINT, recommended tracks
SELECT user, arm, segment, recommended_time AS numerator, recommended_tracks AS denominator
FROM sessions
