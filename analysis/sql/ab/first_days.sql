-- One row per metric and listener with a value of it in both parts of their first days.
-- FROM listener_values(metric VARCHAR, user BIGINT, arm VARCHAR, segment VARCHAR, numerator DOUBLE, denominator DOUBLE)
-- Columns:
--   metric, user, arm
--   segment                           'novelty', all of them
--   numerator, denominator            of the second part
--   past_numerator, past_denominator  of the first
SELECT
    metric, user, arm, 'novelty' AS segment, later.numerator, later.denominator,
    first.numerator AS past_numerator, first.denominator AS past_denominator
FROM listener_values AS first
JOIN listener_values AS later USING (metric, user, arm)
WHERE first.segment = 'first days' AND later.segment = 'later days' AND first.numerator + later.numerator IS NOT NULL
