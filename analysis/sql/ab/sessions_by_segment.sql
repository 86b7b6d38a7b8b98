-- One row per closed session of a slice and segment: what metrics with segments read as `sessions`.
-- FROM closed_sessions(user BIGINT, arm VARCHAR, number BIGINT, segment VARCHAR)
-- FROM segments(user BIGINT, arm VARCHAR, number BIGINT, segments VARCHAR[])
-- Columns:
--   user, arm, number  as in closed_sessions.sql, with what else it has
--   segment            VARCHAR, one of segments.sql
SELECT sessions.* EXCLUDE (segment), unnest(coalesce(segments, [''])) AS segment
FROM closed_sessions AS sessions
LEFT JOIN segments USING (user, arm, number)
