-- One row per event of a slice, with the arm that its listener was in.
-- $all_listeners  BOOLEAN, all listeners are in one arm, ''
-- $experiment     VARCHAR, JSON pointer of the experiment whose arms are wanted otherwise
-- FROM events(user BIGINT, experiments VARCHAR, recommender VARCHAR, request BIGINT, session VARCHAR, propensity DOUBLE)
-- FROM left_out(user BIGINT)
-- Columns:
--   user         as in events, with what else it has
--   recommender  VARCHAR, of one of two interleaved recommenders, both together
--   credit       INTEGER, 1 or 2 for the first or second of them, where it drew the recommendation
--   arm          VARCHAR, NULL outside of the experiment
-- names are few, so that texts are taken apart once
WITH names AS (
    SELECT
        experiments, recommender,
        if($all_listeners, '', json_extract_string(experiments, $experiment)) AS arm,
        regexp_extract(
            recommender, '^(?:(\w+) of )?(interleaved\((\w+), ?(\w+)\))$', ['drawn_by', 'both', 'first', 'second']
        ) AS pair
    FROM (SELECT DISTINCT experiments, recommender FROM events)
)
SELECT
    events.* EXCLUDE (experiments, recommender, request, session, propensity),
    coalesce(nullif(pair.both, ''), events.recommender) AS recommender,
    CASE nullif(pair.drawn_by, '') WHEN pair.first THEN 1 WHEN pair.second THEN 2 END AS credit,
    CASE WHEN left_out.user IS NULL THEN arm END AS arm
FROM events
JOIN names
    ON names.experiments IS NOT DISTINCT FROM events.experiments
    AND names.recommender IS NOT DISTINCT FROM events.recommender
LEFT JOIN left_out ON left_out.user = events.user
