-- One row per listener of a table with several rows a listener: the sums over these, of as many columns as there are.
-- FROM ab_rows(arm VARCHAR, listener VARCHAR, c0 DOUBLE, c1 DOUBLE)
-- Columns:
--   arm, other_arm      the first and the last of the listener's arms by name; the same where there is one
--   all_rows            BIGINT
--   c0, c1              DOUBLE
--   known_c0, known_c1  HUGEINT, of the rows, those where it is a number
SELECT
    min(arm) AS arm, max(arm) AS other_arm, count(*) AS all_rows,
    sum(COLUMNS('^c[0-9]+$')) AS '\0',
    count_if(isfinite(COLUMNS('^c[0-9]+$'))) AS 'known_\0'
FROM ab_rows
GROUP BY listener
