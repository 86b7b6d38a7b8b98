-- One row per event of a partition, in the order they came.
-- Of events with the same user, message and request, the first counts, and none that an earlier part has; events without a request
-- all count.
-- Rows of the table have the other columns of events, too, and so has the result.
-- FROM unsorted(user BIGINT, message VARCHAR, request BIGINT)
-- FROM earlier(user BIGINT, message VARCHAR, request BIGINT)
-- Columns:
--   user, message, request
WITH numbered AS (
    SELECT *, row_number() OVER () AS number FROM unsorted
)
SELECT * EXCLUDE (number)
FROM numbered
ANTI JOIN earlier USING (user, message, request)
QUALIFY request IS NULL OR row_number() OVER (PARTITION BY user, message, request ORDER BY number) = 1
ORDER BY number
