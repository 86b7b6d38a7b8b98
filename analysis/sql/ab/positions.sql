-- One row per arm and position in the session: the listening of the tracks there, in the slice's closed sessions.
-- $deepest  BIGINT, the last position that is wanted
-- FROM session_events(user BIGINT, arm VARCHAR, number BIGINT, position BIGINT, is_closed BOOLEAN, time DOUBLE)
-- Columns:
--   arm
--   position  BIGINT, 1 for the organic track
--   events    BIGINT
--   time      HUGEINT, listening time in 2^-80 tracks
WITH starts AS (
    SELECT user, arm, number, min(position) AS first_position
    FROM session_events
    WHERE is_closed AND arm IS NOT NULL
    GROUP BY user, arm, number
)
SELECT
    arm,
    session_events.position - first_position + 1 AS position,
    count(*) AS events,
    sum(CAST(time * pow(2, 80) AS HUGEINT)) AS time
FROM session_events
JOIN starts USING (user, arm, number)
WHERE session_events.position - first_position < $deepest
GROUP BY ALL
