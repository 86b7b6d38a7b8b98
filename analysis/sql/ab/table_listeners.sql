-- One row per listener of a table with several rows a listener: the sums over these, of as many columns as there are.
-- FROM table_rows(arm VARCHAR, listener VARCHAR, minutes DOUBLE, plays DOUBLE)
-- Columns:
--   arm      the listener's arm, NULL where a row has none
--   minutes, plays  DOUBLE, with what else there is; not finite where a row has no number
SELECT
    CASE
        WHEN min(arm) <> max(arm) THEN error(concat('listener ', listener, ' is in two arms, ', min(arm), ' and ', max(arm)))
        WHEN count(arm) = count(*) THEN min(arm)
    END AS arm,
    sum(coalesce(COLUMNS(* EXCLUDE (arm, listener)), 'nan')) AS '\0'
FROM table_rows
GROUP BY listener
