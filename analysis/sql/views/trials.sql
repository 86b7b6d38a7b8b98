-- One row per trial or baseline of a search and metric.
-- FROM leaderboard(rank BIGINT, trial VARCHAR, model VARCHAR, settings VARCHAR[], state VARCHAR, iteration BIGINT, fit_s DOUBLE, "ndcg@30" DOUBLE, "ndcg@30 lower" DOUBLE, "ndcg@30 upper" DOUBLE)
-- Columns:
--   rank       BIGINT, from 1, the best by the metric that chose
--   trial      VARCHAR, the trial's id
--   model      VARCHAR, the kind of the model
--   settings   VARCHAR[], its hyperparameters
--   state      VARCHAR, scored, pruned or failed
--   iteration  BIGINT, iterations of the fit
--   fit_s      DOUBLE, CPU seconds of the fit
--   metric     VARCHAR, such as ndcg@30; repeat_ and new_ are of the two pools
--   value      DOUBLE, the metric over held-out listeners
--   lower, upper  DOUBLE, its 95 % interval
WITH cells AS (
    UNPIVOT (SELECT rank, trial, model, settings, state, iteration, fit_s, COLUMNS('@') FROM leaderboard)
    ON COLUMNS('@') INTO NAME name VALUE value
)
SELECT
    rank, trial, model, settings, state, iteration, fit_s, split_part(name, ' ', 1) AS metric,
    max(value) FILTER (NOT contains(name, ' ')) AS value,
    max(value) FILTER (ends_with(name, ' lower')) AS lower,
    max(value) FILTER (ends_with(name, ' upper')) AS upper
FROM cells
GROUP BY ALL
