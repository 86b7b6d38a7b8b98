-- One row per closed session of a slice, in the part of the experiment in which it counts: what metrics read as `sessions`.
-- FROM divided(user BIGINT, arm VARCHAR, number BIGINT, is_closed BOOLEAN, part BIGINT)
-- Columns:
--   user, arm, number, is_closed  as in sessions.sql, with what else it has; arm is NULL before the experiment
--   part                          0 for the whole experiment, or a segment
SELECT *
FROM divided
WHERE is_closed
