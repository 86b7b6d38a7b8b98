-- One row per arm of an experiment.
-- FROM report(listeners MAP(VARCHAR, BIGINT), sessions MAP(VARCHAR, BIGINT), recommenders MAP(VARCHAR, VARCHAR), config STRUCT(control VARCHAR))
-- Columns:
--   arm          VARCHAR
--   recommender  VARCHAR, the arm's own; NULL if unknown
--   listeners    BIGINT, listeners in the arm
--   sessions     BIGINT, their closed sessions
--   is_control   BOOLEAN, the other arms are compared with it
SELECT
    arm, recommenders[arm] AS recommender, listeners[arm] AS listeners, sessions[arm] AS sessions,
    arm = config.control AS is_control
FROM (SELECT *, unnest(map_keys(listeners)) AS arm FROM report)
