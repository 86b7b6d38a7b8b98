-- One row per listener of a table with several rows a listener: the sums over these, of as many columns as there are.
-- FROM ab_rows(arm VARCHAR, listener VARCHAR, minutes DOUBLE, plays DOUBLE)
-- Columns:
--   arm, other_arm      the first and the last of the listener's arms by name; the same where there is one
--   all_rows            BIGINT
--   minutes, plays              DOUBLE, with what else there is
--   known_minutes, known_plays  HUGEINT, of the rows, those where it is a number
SELECT
    min(arm) AS arm, max(arm) AS other_arm, count(*) AS all_rows,
    sum(COLUMNS(* EXCLUDE (arm, listener))) AS '\0',
    count_if(isfinite(COLUMNS(* EXCLUDE (arm, listener)))) AS 'known_\0'
FROM ab_rows
GROUP BY listener
