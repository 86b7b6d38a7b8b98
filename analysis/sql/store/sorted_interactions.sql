-- One row per interaction of a partition, by user, timestamp, track; equal ones in the order they came.
-- Rows of the table have the other columns of interactions, too, and so has the result.
-- FROM unsorted(user BIGINT, timestamp BIGINT, track BIGINT)
-- Columns:
--   user, timestamp, track
WITH numbered AS (
    SELECT *, row_number() OVER () AS number FROM unsorted
)
SELECT * EXCLUDE (number) FROM numbered
ORDER BY user, timestamp NULLS FIRST, track, number
