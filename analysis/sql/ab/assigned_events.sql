-- One row per event of a slice, with the arm that its listener was in, without those that were sent again: of the events
-- of a listener with the same message and number of the request the first by time stays, and so do all without a number.
-- $events_file  VARCHAR, Parquet file of the slice
-- $everybody    BOOLEAN, all listeners are in one arm, ''
-- $experiment   VARCHAR, JSON pointer of the experiment whose arms are wanted otherwise
-- FROM events(user BIGINT, timestamp BIGINT, message VARCHAR, time DOUBLE, latency DOUBLE, request BIGINT, track BIGINT, recommendation BIGINT, recommender VARCHAR, experiments VARCHAR)
-- FROM left_out(user BIGINT)
-- Columns:
--   user, timestamp, message, time, latency, track, recommendation  as in events
--   recommender  VARCHAR, of one of two interleaved recommenders, both together
--   side         INTEGER, 1 or 2 for the first or second of them, if it is credited
--   arm          VARCHAR, NULL outside of the experiment
WITH counted_once AS (
    SELECT *
    FROM read_parquet($events_file)
    WHERE request IS NULL
    UNION ALL
    SELECT *
    FROM read_parquet($events_file)
    WHERE request IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY user, message, request ORDER BY timestamp) = 1
),
-- few, so that texts are taken apart once
names AS (
    SELECT
        experiments, recommender,
        if($everybody, '', json_extract_string(experiments, $experiment)) AS arm,
        regexp_extract(
            recommender, '^(?:(\w+) of )?(interleaved\((\w+), ?(\w+)\))$', ['by', 'both', 'first', 'second']
        ) AS found
    FROM (SELECT DISTINCT experiments, recommender FROM read_parquet($events_file))
)
SELECT
    counted_once.user, timestamp, message, time, latency, track, recommendation,
    coalesce(nullif(found.both, ''), counted_once.recommender) AS recommender,
    CASE WHEN found.by = '' THEN NULL WHEN found.by = found.first THEN 1 WHEN found.by = found.second THEN 2 END AS side,
    CASE WHEN left_out.user IS NULL THEN arm END AS arm
FROM counted_once
JOIN names
    ON names.experiments IS NOT DISTINCT FROM counted_once.experiments
    AND names.recommender IS NOT DISTINCT FROM counted_once.recommender
LEFT JOIN left_out ON left_out.user = counted_once.user
