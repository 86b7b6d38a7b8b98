-- One row per listener, arm and segment: their sessions after the first, which every listener has.
-- label: returns per listener
-- kind: mean
-- margin_pct: 10
-- FROM sessions(user BIGINT, arm VARCHAR, segment VARCHAR)
-- Columns:
--   user, arm, segment  as in sessions
--   numerator           BIGINT, sessions after the first
SELECT user, arm, segment, count(*) - 1 AS numerator
FROM sessions
GROUP BY ALL
