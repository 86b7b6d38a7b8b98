-- One row per play of a partition, by user, timestamp, track; equal ones in the order they came.
-- Rows of the table have further columns, and so has the result.
-- FROM unsorted(user BIGINT, timestamp BIGINT, track BIGINT)
-- Columns:
--   user, timestamp, track
SELECT * FROM unsorted
ORDER BY user, timestamp NULLS FIRST, track, row_number() OVER ()
