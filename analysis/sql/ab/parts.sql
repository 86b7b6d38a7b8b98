-- One row per metric, listener and pair of parts: a later part of the listener's days, or of the experiment, beside an earlier part.
-- FROM listener_values(metric VARCHAR, user BIGINT, arm VARCHAR, segment VARCHAR, day BIGINT, numerator DOUBLE, denominator DOUBLE)
-- Columns:
--   metric, user, arm, segment, day   segment is 'novelty' by the listener's days, 'calendar' by the experiment's
--   numerator, denominator            of the later part, 0 without a value
--   past_numerator, past_denominator  of the earlier part
SELECT
    metric, user, arm, pair.name AS segment, day,
    coalesce(later.numerator, 0) AS numerator,
    coalesce(later.denominator, 0) AS denominator,
    coalesce(earlier.numerator, 0) AS past_numerator,
    coalesce(earlier.denominator, 0) AS past_denominator
FROM (VALUES ('novelty', 'first days', 'later days'), ('calendar', 'first quarter', 'later half')) AS pair (name, earlier, later)
JOIN listener_values AS earlier ON earlier.segment = pair.earlier
JOIN listener_values AS later USING (metric, user, arm, day)
WHERE later.segment = pair.later
