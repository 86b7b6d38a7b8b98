-- One row per listener of a table with several rows a listener: the sums over these, of as many columns as there are.
-- FROM ab_rows(arm VARCHAR, listener VARCHAR, minutes DOUBLE, plays DOUBLE)
-- Columns:
--   arm, other_arm      the first and the last of the listener's arms by name; the same where there is one
--   missing_arm         BIGINT, of the rows, those without one
--   minutes, plays                  DOUBLE, with what else there is
--   missing_minutes, missing_plays  HUGEINT, of the rows, those where it is no number
SELECT
    min(arm) AS arm, max(arm) AS other_arm, count_if(arm IS NULL) AS missing_arm,
    sum(COLUMNS(* EXCLUDE (arm, listener))) AS '\0',
    count_if(isfinite(COLUMNS(* EXCLUDE (arm, listener))) IS NOT TRUE) AS 'missing_\0'
FROM ab_rows
GROUP BY listener
