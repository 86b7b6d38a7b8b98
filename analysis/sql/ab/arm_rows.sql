-- One row per listener and part of an arm, with what a table has of them, in the arm or before the experiment.
-- $known_table     VARCHAR, name of the table of all listeners
-- $measured_table  VARCHAR, name of the table whose rows are wanted
-- $arm             VARCHAR, the arm
-- $side            VARCHAR, whose rows are wanted: the arm's, or NULL for the time before the experiment
-- FROM known(user BIGINT, arm VARCHAR, part VARCHAR)
-- FROM measured(user BIGINT, arm VARCHAR, part VARCHAR)
-- Columns:
--   user, part  ascending, with what else the table has as DOUBLE, 0 where it has no row or no number
SELECT
    known.user, known.part,
    if(
        isfinite(CAST(COLUMNS(measured.* EXCLUDE (user, arm, part)) AS DOUBLE)),
        CAST(COLUMNS(measured.* EXCLUDE (user, arm, part)) AS DOUBLE), 0
    )
FROM query_table($known_table) AS known
LEFT JOIN query_table($measured_table) AS measured
    ON measured.user = known.user AND measured.part = known.part AND measured.arm IS NOT DISTINCT FROM $side
WHERE known.arm = $arm
ORDER BY known.user, known.part
