-- One row per row of a table, where each is of another listener; the columns are as many as are summed up.
-- FROM ab_rows(arm VARCHAR, listener VARCHAR, minutes DOUBLE, plays DOUBLE)
-- Columns:
--   arm, other_arm      the listener's arm, twice
--   all_rows            INTEGER, 1
--   minutes, plays              DOUBLE, with what else there is
--   known_minutes, known_plays  BIGINT, 1 where it is a number, else 0
SELECT
    arm, arm AS other_arm, 1 AS all_rows,
    COLUMNS(* EXCLUDE (arm, listener)),
    CAST(coalesce(isfinite(COLUMNS(* EXCLUDE (arm, listener))), false) AS BIGINT) AS 'known_\0'
FROM ab_rows
