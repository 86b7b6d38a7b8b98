-- One row per arm, step and group of listeners: the values of all slices.
-- FROM histogram(arm VARCHAR, listener_group BIGINT, step BIGINT, values BIGINT)
-- Columns:
--   arm, step, listener_group, values  as in histogram.sql
SELECT arm, step, listener_group, CAST(sum(histogram.values) AS BIGINT) AS values
FROM histogram
GROUP BY arm, step, listener_group
ORDER BY arm, step, listener_group
