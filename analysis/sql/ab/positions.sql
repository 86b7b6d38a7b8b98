-- One row per arm and position in the session: the listening of the tracks there, in the slice's closed sessions.
-- $deepest  BIGINT, the last position that is wanted
-- FROM events(arm VARCHAR, position BIGINT, time DOUBLE)
-- Columns:
--   arm
--   position    BIGINT, 1 for the organic track
--   events      BIGINT
--   exact_time  HUGEINT, listening time in 2^-80 tracks
SELECT arm, position, count(*) AS events, sum(CAST(time * pow(2, 80) AS HUGEINT)) AS exact_time
FROM events
WHERE arm IS NOT NULL AND position <= $deepest
GROUP BY arm, position
