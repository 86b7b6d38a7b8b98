-- One row per closed session.
-- label: 90th percentile of the listening time of a session
-- unit: whole tracks
-- quantile: 0.9
-- FROM sessions(user BIGINT, arm VARCHAR, time DOUBLE)
-- Columns:
--   user, arm
--   value      DOUBLE, its listening time in tracks
SELECT user, arm, time AS value
FROM sessions
