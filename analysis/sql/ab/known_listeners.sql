-- One row per listener of a slice, arm and segment with a session, closed or not.
-- FROM segments(user BIGINT, arm VARCHAR, segments VARCHAR[])
-- Columns:
--   user, arm
--   segment    VARCHAR, one of segments.sql
SELECT DISTINCT user, arm, unnest(segments) AS segment
FROM segments
