-- One row per arm, group of listeners and value in steps of 0.1 %: how many measured values there are, NULL left out.
-- $measured_table  VARCHAR, name of the table or view of values
-- $groups          BIGINT, number of groups that listeners are put in by a hash of their id
-- FROM measured(user BIGINT, arm VARCHAR, value DOUBLE)
-- Columns:
--   arm
--   listener_group  BIGINT, 0..groups-1
--   step            BIGINT, a millionth of 1.001^step to 1.001^(step + 1), at least a millionth
--   values          BIGINT
SELECT
    arm,
    CAST((hash(user) >> 32) % CAST($groups AS UBIGINT) AS BIGINT) AS listener_group,
    CAST(floor(ln(greatest(value * 1e6, 1)) / ln(1.001)) AS BIGINT) AS step,
    count(*) AS values
FROM query_table($measured_table)
WHERE arm IS NOT NULL AND value IS NOT NULL
GROUP BY arm, listener_group, step
