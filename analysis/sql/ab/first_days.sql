-- One row per listener with a value of a metric in both parts of their first days, in order.
-- $parts  VARCHAR[], the two segments
-- FROM listener_values(user BIGINT, arm VARCHAR, segment VARCHAR, numerator DOUBLE, denominator DOUBLE)
-- Columns:
--   arm
--   segment                           '', all of them
--   numerator, denominator            of the second part
--   past_numerator, past_denominator  of the first
SELECT arm, '' AS segment, later.numerator, later.denominator, first.numerator AS past_numerator, first.denominator AS past_denominator
FROM listener_values AS first
JOIN listener_values AS later USING (user, arm)
WHERE first.segment = $parts[1] AND later.segment = $parts[2] AND first.numerator + later.numerator IS NOT NULL
ORDER BY user
