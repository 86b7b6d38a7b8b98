-- One row per interaction of a partition, in the shape of events, with weights of the same one added, exactly to 1e-9.
-- The interactions of a listener with a track are a session of their own where neither sessions nor moments are known. In a split by
-- files, training and validation are sessions of their own where both are named, and what is in neither is left out.
-- $by_row  BOOLEAN, each moment of a listener is a session of its own, for a split by the newest
-- $has_moments  BOOLEAN, timestamps are moments, not missing or mere positions
-- $train  VARCHAR[], digests of the files to learn from; empty where the split is not by files
-- $test   VARCHAR[], digests of the files to validate on; empty where a share of the others' sessions is held out
-- FROM stored(user BIGINT, timestamp BIGINT, track BIGINT, time DOUBLE, session VARCHAR, source VARCHAR)
-- Columns:
--   user, track, timestamp, message  the timestamp in ms since the epoch, UTC, 0 without; the message is 'next'
--   recommendation, propensity  NULL: nothing was recommended
--   time, session  DOUBLE, the weight; VARCHAR, NULL where it is to be derived from the moments
WITH named AS (
    SELECT
        user, track, time,
        coalesce(timestamp, 0) AS timestamp,
        CASE
            WHEN list_contains($test, source) THEN concat_ws(' ', 'test', session)
            WHEN len($test) > 0 THEN concat_ws(' ', 'train', session)
            WHEN $by_row THEN '@' || timestamp
            WHEN session IS NOT NULL THEN session
            WHEN NOT $has_moments THEN '#' || track
        END AS session
    FROM stored
    WHERE len($train) = 0 OR list_contains($train || $test, source)
)
SELECT
    user, track, timestamp, 'next' AS message,
    CAST(NULL AS BIGINT) AS recommendation, CAST(NULL AS DOUBLE) AS propensity,
    CAST(sum(CAST(time AS DECIMAL(38, 9))) AS DOUBLE) AS time,
    session
FROM named
GROUP BY user, track, timestamp, session
