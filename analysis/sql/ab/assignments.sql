-- One row per text of experiments and recommender that events have: names are few, so that texts are taken apart once.
-- $all_listeners  BOOLEAN, all listeners are in one arm, ''
-- $experiment     VARCHAR, JSON pointer of the experiment whose arms are wanted otherwise
-- FROM logged(experiments VARCHAR, recommender VARCHAR)
-- Columns:
--   experiments, recommender  as logged
--   answered                  VARCHAR, the recommender; of one of two interleaved ones, both together
--   credit                    INTEGER, 1 or 2 for the first or second of them, where it drew the recommendation
--   arm                       VARCHAR, NULL outside of the experiment
SELECT
    experiments, recommender,
    coalesce(nullif(pair.both, ''), recommender) AS answered,
    CASE nullif(pair.drawn_by, '') WHEN pair.first THEN 1 WHEN pair.second THEN 2 END AS credit,
    if($all_listeners, '', json_extract_string(experiments, $experiment)) AS arm
FROM (
    SELECT
        experiments, recommender,
        regexp_extract(
            recommender,
            -- `\w+(\([^()]*\))?` is a recommender, perhaps with arguments as in explore(live, 0.05)
            '^(?:(\w+(?:\([^()]*\))?) of )?(interleaved\((\w+(?:\([^()]*\))?), ?(\w+(?:\([^()]*\))?)\))$',
            ['drawn_by', 'both', 'first', 'second']
        ) AS pair
    FROM (SELECT DISTINCT experiments, recommender FROM logged)
)
