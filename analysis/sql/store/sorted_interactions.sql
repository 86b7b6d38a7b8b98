-- One row per interaction of a partition, by user, timestamp, track; equal ones in the order they came.
-- Rows of the table have the other columns of interactions, too, and so has the result.
-- FROM unsorted(user BIGINT, timestamp BIGINT, track BIGINT)
-- Columns:
--   user, timestamp, track
SELECT * FROM unsorted
ORDER BY user, timestamp NULLS FIRST, track, row_number() OVER ()
