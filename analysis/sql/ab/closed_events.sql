-- One row per event of a closed session of a slice and segment: what metrics read as `events`.
-- FROM session_events(number BIGINT, position BIGINT)
-- FROM sessions(number BIGINT, segment VARCHAR, first_position BIGINT)
-- Columns:
--   number    as in session_events.sql, with what else it has
--   position  BIGINT, in the session, 1 for the organic track
--   segment   of its session
SELECT session_events.* REPLACE (position - first_position + 1 AS position), segment
FROM session_events
JOIN sessions USING (number)
