-- One row per session and segment: its recommendations by another than the arm's own recommender.
-- label: share of recommendations by another than the arm's own recommender
-- better: lower
-- has_past: false
-- FROM sessions(user BIGINT, arm VARCHAR, segment VARCHAR, fallbacks BIGINT, named BIGINT)
-- Columns:
--   user, arm, segment  as in sessions
--   numerator           BIGINT, fallbacks
--   denominator         BIGINT, recommendations whose recommender is known
SELECT user, arm, segment, fallbacks AS numerator, named AS denominator
FROM sessions
