-- One row per session and segment, to count them.
-- label: sessions per listener
-- kind: mean
-- FROM sessions(user BIGINT, arm VARCHAR, segment VARCHAR)
-- Columns:
--   user, arm, segment  as in sessions
--   numerator           INTEGER, 1 for the session
SELECT user, arm, segment, 1 AS numerator
FROM sessions
