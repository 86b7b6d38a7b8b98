-- One row per play of a partition, by user, timestamp, next before last, track; equal ones in the order they came.
-- Rows of the table have the other columns of plays, too, and so has the result.
-- FROM unsorted(user BIGINT, timestamp BIGINT, message VARCHAR, track BIGINT)
-- Columns:
--   user, timestamp, message, track
SELECT * FROM unsorted
ORDER BY user, timestamp, message = 'last', track, row_number() OVER ()
