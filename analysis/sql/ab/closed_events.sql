-- One row per event of a closed session of a slice and segment: what metrics read as `events`.
-- FROM session_events(user BIGINT, arm VARCHAR, number BIGINT, position BIGINT)
-- FROM sessions(user BIGINT, arm VARCHAR, number BIGINT, segment VARCHAR, first_position BIGINT)
-- Columns:
--   user, arm, number  as in session_events.sql, with what else it has
--   position           BIGINT, in the session, 1 for the organic track
--   segment            of its session
SELECT events.* REPLACE (events.position - first_position + 1 AS position), segment
FROM session_events AS events
JOIN sessions
    ON sessions.user = events.user AND sessions.number = events.number AND sessions.arm IS NOT DISTINCT FROM events.arm
