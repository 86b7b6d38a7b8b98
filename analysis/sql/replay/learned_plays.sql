-- One row: how many of the plays of a file an export has learned from.
-- FROM checked(user VARCHAR, timestamp BIGINT, reason VARCHAR)
-- FROM learned(user VARCHAR, latest BIGINT)
-- Columns:
--   rejected  BIGINT, rows that are no plays
--   learned   BIGINT, plays up to the latest one of their listener that the export has learned from
--   later     BIGINT, the other plays
SELECT
    count(reason) AS rejected,
    count(*) FILTER (timestamp <= latest) AS learned,
    count(*) FILTER (timestamp > coalesce(latest, -1)) AS later
FROM checked
LEFT JOIN learned USING (user)
