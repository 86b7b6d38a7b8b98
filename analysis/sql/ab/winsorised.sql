-- One row per metric and listener: the values, which end at the largest but for 1 % of the listeners (winsorised).
-- A listener with more of the denominator, such as sessions, than all but 1 % counts as if there were no more.
-- FROM listener_values(metric VARCHAR, user BIGINT, arm VARCHAR, segment VARCHAR, day BIGINT, numerator DOUBLE, denominator DOUBLE)
-- Columns:
--   metric, user, arm, segment, day   segment is 'winsorised'
--   numerator, denominator            DOUBLE
--   past_numerator, past_denominator  DOUBLE, the arm's largest size of a numerator over the number of listeners; the listener's
SELECT
    metric, user, arm, 'winsorised' AS segment, day,
    least(numerator * share, quantile_cont(numerator * share, 0.99) OVER (PARTITION BY metric)) AS numerator,
    denominator * share AS denominator,
    max(abs(numerator)) OVER in_arm / count(*) OVER in_arm AS past_numerator,
    abs(numerator) AS past_denominator
FROM (
    SELECT *, least(1, quantile_cont(denominator, 0.99) OVER (PARTITION BY metric) / nullif(denominator, 0)) AS share
    FROM listener_values
    WHERE segment = '' AND numerator IS NOT NULL
)
WINDOW in_arm AS (PARTITION BY metric, arm)
