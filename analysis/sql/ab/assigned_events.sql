-- One row per event of a slice, with the arm that its listener was in.
-- $everybody    BOOLEAN, all listeners are in one arm, ''
-- $experiment   VARCHAR, JSON pointer of the experiment whose arms are wanted otherwise
-- FROM events(user BIGINT, timestamp BIGINT, message VARCHAR, time DOUBLE, latency DOUBLE, request BIGINT, track BIGINT, recommendation BIGINT, recommender VARCHAR, experiments VARCHAR)
-- FROM left_out(user BIGINT)
-- Columns:
--   user, timestamp, message, time, latency, track, recommendation  as in events
--   recommender  VARCHAR, of one of two interleaved recommenders, both together
--   side         INTEGER, 1 or 2 for the first or second of them, if it is credited
--   arm          VARCHAR, NULL outside of the experiment
-- names are few, so that texts are taken apart once
WITH names AS (
    SELECT
        experiments, recommender,
        if($everybody, '', json_extract_string(experiments, $experiment)) AS arm,
        regexp_extract(
            recommender, '^(?:(\w+) of )?(interleaved\((\w+), ?(\w+)\))$', ['by', 'both', 'first', 'second']
        ) AS found
    FROM (SELECT DISTINCT experiments, recommender FROM events)
)
SELECT
    events.user, timestamp, message, time, latency, track, recommendation,
    coalesce(nullif(found.both, ''), events.recommender) AS recommender,
    CASE WHEN found.by = '' THEN NULL WHEN found.by = found.first THEN 1 WHEN found.by = found.second THEN 2 END AS side,
    CASE WHEN left_out.user IS NULL THEN arm END AS arm
FROM events
JOIN names
    ON names.experiments IS NOT DISTINCT FROM events.experiments
    AND names.recommender IS NOT DISTINCT FROM events.recommender
LEFT JOIN left_out ON left_out.user = events.user
