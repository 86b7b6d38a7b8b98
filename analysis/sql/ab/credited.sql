-- One row per listener and arm: what they heard, in closed sessions, of the tracks credited to one of two recommenders.
-- FROM events(user BIGINT, arm VARCHAR, credit INTEGER, time DOUBLE)
-- Columns:
--   metric           '', no metric of the report
--   user, arm
--   segment          'interleaved'
--   day              BIGINT, 0
--   numerator        DOUBLE, listening time of the second's tracks
--   denominator      DOUBLE, recommended tracks credited to the second
--   past_numerator, past_denominator  DOUBLE, the same of the first
SELECT
    '' AS metric, user, arm, 'interleaved' AS segment, 0::BIGINT AS day,
    CAST(coalesce(sum(exact_time) FILTER (credit = 2), 0) AS DOUBLE) AS numerator,
    CAST(count(*) FILTER (credit = 2) AS DOUBLE) AS denominator,
    CAST(coalesce(sum(exact_time) FILTER (credit = 1), 0) AS DOUBLE) AS past_numerator,
    CAST(count(*) FILTER (credit = 1) AS DOUBLE) AS past_denominator
FROM (SELECT *, CAST(time AS DECIMAL(38, 20)) AS exact_time FROM events)
WHERE credit IS NOT NULL AND arm IS NOT NULL
GROUP BY user, arm
