-- One row per listener of a slice, arm and segment with a session, closed or not, or of the first days of an old one.
-- FROM slice_sessions(user BIGINT, arm VARCHAR, parts VARCHAR[], segments VARCHAR[])
-- Columns:
--   user, arm
--   segment    VARCHAR, as in slice_sessions.sql
SELECT DISTINCT user, arm, unnest(segments || parts) AS segment
FROM slice_sessions
WHERE arm IS NOT NULL
