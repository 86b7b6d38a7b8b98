-- One row per closed session.
-- FROM sessions(user BIGINT, arm VARCHAR, part BIGINT, time DOUBLE)
-- Columns:
--   user, arm, part
--   value            DOUBLE, its listening time in tracks
SELECT user, arm, part, time AS value
FROM sessions
