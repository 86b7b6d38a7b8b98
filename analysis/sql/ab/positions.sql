-- One row per arm and position in the session: the listening of the tracks there.
-- Parameters:
--   $deepest  BIGINT, the last position that is wanted
-- Tables:
--   session_events(user BIGINT, arm VARCHAR, number BIGINT, place BIGINT, time DOUBLE)
--   slice_sessions(user BIGINT, arm VARCHAR, number BIGINT, first_place BIGINT, is_closed BOOLEAN)
-- Columns:
--   arm
--   position  BIGINT, 1 for the organic track
--   events    BIGINT
--   time      HUGEINT, listening time in 2^-80 tracks
SELECT
    event.arm,
    event.place - session.first_place + 1 AS position,
    count(*) AS events,
    sum(CAST(event.time * pow(2, 80) AS HUGEINT)) AS time
FROM session_events AS event
JOIN slice_sessions AS session
    ON session.user = event.user AND session.arm = event.arm AND session.number = event.number
WHERE session.is_closed AND event.place - session.first_place < $deepest
GROUP BY event.arm, position
