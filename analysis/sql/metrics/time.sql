-- One row per session and segment: its listening time.
-- label: listening time per listener
-- unit: whole tracks
-- kind: mean
-- margin_pct: 10
-- FROM sessions(user BIGINT, arm VARCHAR, segment VARCHAR, time DECIMAL(38, 20))
-- Columns:
--   user, arm, segment  as in sessions
--   numerator           DECIMAL, listening time in tracks
SELECT user, arm, segment, time AS numerator
FROM sessions
