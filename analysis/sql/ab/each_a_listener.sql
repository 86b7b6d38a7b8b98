-- One row per row of a table, where each is of another listener; the columns are as many as are summed up.
-- FROM ab_rows(arm VARCHAR, listener VARCHAR, c0 DOUBLE, c1 DOUBLE)
-- Columns:
--   arm, other_arm      the listener's arm, twice
--   all_rows            INTEGER, 1
--   c0, c1              DOUBLE
--   known_c0, known_c1  BIGINT, 1 where it is a number, else 0
SELECT
    arm, arm AS other_arm, 1 AS all_rows,
    COLUMNS('^c[0-9]+$'),
    CAST(coalesce(isfinite(COLUMNS('^c[0-9]+$')), false) AS BIGINT) AS 'known_\0'
FROM ab_rows
