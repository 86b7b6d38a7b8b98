-- One row per arm, group of listeners and value in steps of 0.1 %: how many values of a metric there are, NULL left out.
-- $metric  VARCHAR, the name of the rows
-- $groups  BIGINT, number of groups that listeners are put in by a hash of their id
-- FROM measured(user BIGINT, arm VARCHAR, value DOUBLE)
-- Columns:
--   metric, arm
--   listener_group  BIGINT, 0..groups-1
--   step            BIGINT, a millionth of 1.001^step to 1.001^(step + 1), at least a millionth
--   values          BIGINT
SELECT
    $metric AS metric, arm,
    CAST((hash(user) >> 32) % CAST($groups AS UBIGINT) AS BIGINT) AS listener_group,
    CAST(floor(ln(greatest(CAST(value AS DOUBLE) * 1e6, 1)) / ln(1.001)) AS BIGINT) AS step,
    count(*) AS values
FROM measured
WHERE arm IS NOT NULL AND value IS NOT NULL
GROUP BY ALL
