-- One row per held-out listener and trial, by the metric that chose: other metrics are not kept by listener.
-- FROM listener_scores(trial VARCHAR, iteration BIGINT, listener VARCHAR, metric VARCHAR, value DOUBLE)
-- Columns:
--   listener   an id as it was ingested
--   trial      VARCHAR, the trial's id, as in the view `trials`
--   iteration  BIGINT, iterations of the fit
--   metric     VARCHAR, such as ndcg@30
--   value      DOUBLE, the listener's value
SELECT listener, trial, iteration, metric, value
FROM listener_scores
