-- One row per session and segment: its listening time.
-- label: listening time per session, mean of the listeners' means
-- unit: whole tracks
-- kind: mean of ratios
-- FROM sessions(user BIGINT, arm VARCHAR, segment VARCHAR, time DECIMAL(38, 20))
-- Columns:
--   user, arm, segment  as in sessions
--   numerator           DECIMAL, listening time in tracks
--   denominator         INTEGER, 1 for the session
SELECT user, arm, segment, time AS numerator, 1 AS denominator
FROM sessions
