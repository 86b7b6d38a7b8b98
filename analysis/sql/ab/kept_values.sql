-- One row per listener, arm and metric of an experiment, for people who ask in SQL.
-- FROM listener_values(metric VARCHAR, user BIGINT, arm VARCHAR, segment VARCHAR, numerator DOUBLE, denominator DOUBLE, past_numerator DOUBLE, past_denominator DOUBLE)
-- Columns:
--   user, arm, metric
--   before  DOUBLE, the value before the experiment; NULL if there is none
--   during  DOUBLE, the value in the experiment; NULL if there is none
--   weight  DOUBLE, the arm's value is sum(during * weight) / sum(weight)
SELECT
    user, arm, metric, past_numerator / nullif(past_denominator, 0) AS before,
    numerator / nullif(denominator, 0) AS during, denominator AS weight
FROM listener_values
WHERE segment = ''
ORDER BY metric, arm, user
