-- One row per closed session of a slice, in the part of the experiment in which it counts: what metrics read as `sessions`.
-- FROM slice_sessions(user BIGINT, arm VARCHAR, number BIGINT, is_closed BOOLEAN)
-- FROM parts(user BIGINT, arm VARCHAR, number BIGINT, part BIGINT)
-- Columns:
--   part  0 for the whole experiment, a day, an hour, or a segment
--   user, arm, number, is_closed  as in sessions.sql, with what else it has; arm is NULL before the experiment
SELECT parts.part, sessions.*
FROM slice_sessions AS sessions
JOIN parts
    ON parts.user = sessions.user AND parts.number = sessions.number AND parts.arm IS NOT DISTINCT FROM sessions.arm
WHERE is_closed
