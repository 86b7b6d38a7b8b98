-- One row per listener, arm and metric of an experiment.
-- FROM listener_rows(user BIGINT, arm VARCHAR, metric VARCHAR, before DOUBLE, during DOUBLE, weight DOUBLE)
-- FROM value_names(id BIGINT, listener VARCHAR)
-- Columns:
--   listener  an id as it was logged
--   arm       VARCHAR, the listener's arm
--   metric    VARCHAR
--   before    DOUBLE, the value before the experiment; NULL if there is none
--   during    DOUBLE, the value in the experiment; NULL if there is none
--   weight    DOUBLE, the arm's value is sum(during * weight) / sum(weight)
SELECT
    coalesce(listener, cast_to_type(listener_rows.user, listener)) AS listener,
    arm, metric, before, during, weight
FROM listener_rows
LEFT JOIN value_names ON id = listener_rows.user
