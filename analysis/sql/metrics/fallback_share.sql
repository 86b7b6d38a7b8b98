-- One row per listener, arm and segment: their recommendations by another than the arm's own recommender.
-- label: share of recommendations by another than the arm's own recommender
-- better: lower
-- has_past: false
-- FROM sessions(user BIGINT, arm VARCHAR, segment VARCHAR, fallbacks BIGINT, named BIGINT)
-- Columns:
--   user, arm, segment  as in sessions
--   numerator           HUGEINT, fallbacks
--   denominator         HUGEINT, recommendations whose recommender is known
SELECT user, arm, segment, sum(fallbacks) AS numerator, sum(named) AS denominator
FROM sessions
GROUP BY ALL
