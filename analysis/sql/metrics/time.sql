-- One row per listener, arm and segment: their listening time.
-- label: listening time per listener
-- unit: whole tracks
-- kind: mean
-- margin_pct: 10
-- FROM sessions(user BIGINT, arm VARCHAR, segment VARCHAR, exact_time HUGEINT)
-- Columns:
--   user, arm, segment  as in sessions
--   numerator           DOUBLE, listening time in tracks
SELECT user, arm, segment, sum(exact_time) / pow(2, 80) AS numerator
FROM sessions
GROUP BY ALL
