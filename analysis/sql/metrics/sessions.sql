-- One row per listener, arm and segment: their sessions.
-- label: sessions per listener
-- kind: mean
-- FROM sessions(user BIGINT, arm VARCHAR, segment VARCHAR)
-- Columns:
--   user, arm, segment  as in sessions
--   numerator           BIGINT, sessions
SELECT user, arm, segment, count(*) AS numerator
FROM sessions
GROUP BY ALL
