-- One row per listener of a slice, arm and segment: what the moments of one metric are of.
-- $metric    VARCHAR, its name
-- $kind      VARCHAR, the metric's: 'ratio', 'mean' or 'mean of ratios'
-- $has_past  BOOLEAN, the sums before the experiment are its past
-- FROM segment_listeners(user BIGINT, arm VARCHAR, segment VARCHAR, day BIGINT)
-- FROM measured(user BIGINT, arm VARCHAR, segment VARCHAR, numerator DOUBLE, denominator DOUBLE)
-- Columns:
--   metric, user, arm, segment, day
--   numerator, denominator            DOUBLE, 0 without a row; NULL where a listener has no ratio
--   past_numerator, past_denominator  DOUBLE, the same of the sums before the experiment
WITH sums AS (
    SELECT
        user, arm, segment,
        CAST(sum(numerator) AS DOUBLE) AS numerator,
        CAST(sum(denominator) AS DOUBLE) AS denominator
    FROM measured
    GROUP BY ALL
),
joined AS (
    SELECT
        listeners.*, sums.numerator, sums.denominator,
        past.numerator AS past_numerator, past.denominator AS past_denominator
    FROM segment_listeners AS listeners
    LEFT JOIN sums USING (user, arm, segment)
    LEFT JOIN sums AS past ON $has_past AND past.user = listeners.user AND past.arm IS NULL
),
finite AS (
    SELECT
        user, arm, segment, day,
        if(isfinite(COLUMNS('numerator|denominator')), COLUMNS('numerator|denominator'), 0)
    FROM joined
)
SELECT
    $metric AS metric, user, arm, segment, day,
    CASE WHEN $kind <> 'mean of ratios' THEN numerator WHEN denominator > 0 THEN numerator / denominator END AS numerator,
    CASE WHEN $kind = 'ratio' THEN denominator WHEN $kind = 'mean' OR denominator > 0 THEN 1 END AS denominator,
    CASE WHEN $kind <> 'mean of ratios' OR denominator > 0 THEN past_numerator END AS past_numerator,
    CASE WHEN $kind = 'mean' THEN 1 WHEN $kind = 'ratio' OR denominator > 0 THEN past_denominator END AS past_denominator
FROM finite
