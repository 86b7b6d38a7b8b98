-- One row per row of a table, where each is of another listener; the columns are as many as are summed up.
-- FROM ab_rows(arm VARCHAR, listener VARCHAR, minutes DOUBLE, plays DOUBLE)
-- Columns:
--   arm, other_arm      the listener's arm, twice
--   missing_arm         BIGINT, 1 where there is none, else 0
--   minutes, plays                  DOUBLE, with what else there is
--   missing_minutes, missing_plays  BIGINT, 1 where it is no number, else 0
SELECT
    arm, arm AS other_arm, CAST(arm IS NULL AS BIGINT) AS missing_arm,
    COLUMNS(* EXCLUDE (arm, listener)),
    CAST(isfinite(COLUMNS(* EXCLUDE (arm, listener))) IS NOT TRUE AS BIGINT) AS 'missing_\0'
FROM ab_rows
