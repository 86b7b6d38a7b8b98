-- One row per event of a bucket, by user, timestamp, next before last, track; equal ones in the order they came.
-- Of events with the same user, message and request the first one counts, and none that an earlier part has.
-- Rows of the table have the other columns of events, too, and so has the result.
-- FROM unsorted(user BIGINT, timestamp BIGINT, message VARCHAR, track BIGINT, request BIGINT)
-- FROM earlier(user BIGINT, message VARCHAR, request BIGINT)
-- Columns:
--   user, timestamp, message, track, request
WITH numbered AS (
    SELECT *, row_number() OVER () AS number FROM unsorted
), counted AS (
    SELECT * FROM numbered WHERE request IS NULL
    UNION ALL
    (
        SELECT * FROM numbered
        WHERE request IS NOT NULL AND (user, message, request) NOT IN (
            SELECT (user, message, request) FROM earlier WHERE request IS NOT NULL
        )
        QUALIFY row_number() OVER (PARTITION BY user, message, request ORDER BY number) = 1
    )
)
SELECT * EXCLUDE (number) FROM counted
ORDER BY user, timestamp, message = 'last', track, number
