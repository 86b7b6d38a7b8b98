-- One row per arm: the macro `by_arm(x)` of a warehouse, where x is an expression of columns of `listeners`.
-- FROM listeners(arm VARCHAR, x DOUBLE)
-- Columns:
--   arm
--   listeners  BIGINT, with an x
--   mean, standard_error  DOUBLE, of x over listeners
SELECT arm, count(x) AS listeners, avg(x) AS mean, stddev_samp(x) / sqrt(count(x)) AS standard_error
FROM listeners
WHERE arm IS NOT NULL
GROUP BY arm
ORDER BY arm
