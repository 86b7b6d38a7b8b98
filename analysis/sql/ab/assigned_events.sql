-- One row per event, with the arm that its listener was in.
-- FROM logged(user BIGINT, experiments VARCHAR, recommender VARCHAR, request BIGINT)
-- FROM assignments(experiments VARCHAR, recommender VARCHAR, answered VARCHAR, credit INTEGER, arm VARCHAR)
-- FROM left_out(user BIGINT)
-- Columns:
--   user                 as logged, with what else it has
--   recommender, credit  VARCHAR and INTEGER, `answered` and `credit` of assignments.sql
--   arm                  VARCHAR, NULL outside of the experiment
SELECT
    logged.* EXCLUDE (experiments, recommender, request),
    answered AS recommender, credit,
    CASE WHEN user NOT IN (SELECT user FROM left_out) THEN arm END AS arm
FROM logged
JOIN assignments
    ON assignments.experiments IS NOT DISTINCT FROM logged.experiments
    AND assignments.recommender IS NOT DISTINCT FROM logged.recommender
