-- One row per listener, arm and segment: their listening time of recommended tracks.
-- label: listening time of a recommended track
-- unit: of the track
-- FROM sessions(user BIGINT, arm VARCHAR, segment VARCHAR, exact_recommended_time HUGEINT, recommended_tracks BIGINT)
-- Columns:
--   user, arm, segment  as in sessions
--   numerator           DOUBLE, listening time in tracks
--   denominator         HUGEINT, recommended tracks
SELECT user, arm, segment, sum(exact_recommended_time) / pow(2, 80) AS numerator, sum(recommended_tracks) AS denominator
FROM sessions
GROUP BY ALL
