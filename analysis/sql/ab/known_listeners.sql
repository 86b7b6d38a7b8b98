-- One row per listener of a slice, arm and segment with a session, closed or not, or of the first days of an old one.
-- FROM segments(user BIGINT, arm VARCHAR, segments VARCHAR[], parts VARCHAR[])
-- Columns:
--   user, arm
--   segment    VARCHAR, one of segments.sql
SELECT DISTINCT user, arm, unnest(segments || parts) AS segment
FROM segments
