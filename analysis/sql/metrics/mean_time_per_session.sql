-- One row per listener, arm and segment: their listening time and sessions.
-- label: listening time per session, mean of the listeners' means
-- unit: whole tracks
-- phrase: listeners hear {} per session
-- kind: mean of ratios
-- FROM sessions(user BIGINT, arm VARCHAR, segment VARCHAR, exact_time HUGEINT)
-- Columns:
--   user, arm, segment  as in sessions
--   numerator           DOUBLE, listening time in tracks
--   denominator         BIGINT, sessions
SELECT user, arm, segment, sum(exact_time) / pow(2, 80) AS numerator, count(*) AS denominator
FROM sessions
GROUP BY ALL
