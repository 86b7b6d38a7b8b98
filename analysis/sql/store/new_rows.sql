-- One row per row of a partition whose user, timestamp and track no earlier part has, in the order they came.
-- Rows of the table have the other columns of plays, too, and so has the result.
-- FROM unsorted(user BIGINT, timestamp BIGINT, track BIGINT)
-- FROM earlier(user BIGINT, timestamp BIGINT, track BIGINT)
-- Columns:
--   user, timestamp, track
SELECT *
FROM unsorted
WHERE (user, timestamp, track) NOT IN (SELECT (user, timestamp, track) FROM earlier)
ORDER BY row_number() OVER ()
