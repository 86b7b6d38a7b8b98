-- One row per event of a closed session of a slice: what metrics read as `events`.
-- FROM session_events(user BIGINT, arm VARCHAR, number BIGINT, position BIGINT, timestamp BIGINT, is_last BOOLEAN, track BIGINT, time DOUBLE, latency DOUBLE, is_organic BOOLEAN, is_fallback BOOLEAN)
-- FROM sessions(user BIGINT, arm VARCHAR, part BIGINT, number BIGINT, first_position BIGINT)
-- Columns:
--   user, arm, part, number  of its session: closed_sessions.sql
--   position                 BIGINT, in the session, 1 for the organic track
--   timestamp, is_last, track, time, latency, is_organic, is_fallback  as in session_events.sql
SELECT
    events.user, events.arm, part, events.number,
    events.position - first_position + 1 AS position,
    timestamp, is_last, track, events.time, latency, is_organic, is_fallback
FROM session_events AS events
JOIN sessions
    ON sessions.user = events.user AND sessions.number = events.number AND sessions.arm IS NOT DISTINCT FROM events.arm
