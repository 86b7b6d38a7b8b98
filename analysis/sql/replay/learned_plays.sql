-- One row: how many of the plays of a file an export has learned from.
-- FROM checked(user VARCHAR, timestamp BIGINT, reason VARCHAR)
-- FROM learned(user VARCHAR, latest BIGINT)
-- Columns:
--   rejected  BIGINT, rows that are no plays
--   learned   BIGINT, plays up to the latest one of their listener that the export has learned from
--   later     BIGINT, the other plays
SELECT
    count(*) FILTER (reason IS NOT NULL) AS rejected,
    count(*) FILTER (reason IS NULL AND timestamp <= coalesce(learned.latest, -1)) AS learned,
    count(*) FILTER (reason IS NULL AND timestamp > coalesce(learned.latest, -1)) AS later
FROM checked
LEFT JOIN learned USING (user)
